"""The job store in Redis. Start reading in `store.py`."""
