"""One source for many environments: its cells (`plan`), use cases (`service`) and JSON (`report`)."""
