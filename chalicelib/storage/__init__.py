"""Where jobs are kept: one protocol (`protocol.py`), one store in memory, one in Redis."""
