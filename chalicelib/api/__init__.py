"""HTTP without a framework: reading requests, wording errors, shaping responses."""
