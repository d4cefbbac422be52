"""HTTP without a framework: reads and checks requests, words errors, and builds the JSON of responses."""
