"""The job store in Redis; `store.py` is where to start reading."""
