"""The system call filter that all sandboxes share."""
