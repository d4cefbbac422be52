"""Toolchains: the compilers that are installed here and pass their self-tests.

`probe` tests compilers, `build_record` keeps the results of tests that an image's build made, `discover`
decides between the two, `images` does the same for sandboxes that run container images.
"""
