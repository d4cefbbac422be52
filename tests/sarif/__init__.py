"""SARIF for tests: the format's own validator, golden files, and documents made by hand."""
