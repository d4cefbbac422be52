"""The user ids that jobs run as when the runner is root, and ending what runs under one of them."""
