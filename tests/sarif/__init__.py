"""SARIF for tests: a validator that is not ours, and what it is shown."""
