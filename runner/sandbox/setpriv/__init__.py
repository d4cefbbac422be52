"""The sandbox for Fargate: other user ids, Landlock and seccomp, no namespaces."""
