"""The sandbox built on bubblewrap (Linux namespaces)."""
