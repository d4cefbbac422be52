"""The sandbox that runs each job in a container of its own."""
