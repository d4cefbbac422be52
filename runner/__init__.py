"""The runner: claims jobs, compiles them inside a sandbox and writes their results."""
