"""Which compilers are installed, and which of them pass their self-tests."""
