"""Where jobs are kept: one protocol (`base.py`), one store in memory, one in Redis."""
