"""User ids that jobs run as where there are no namespaces, and their clean-up."""
