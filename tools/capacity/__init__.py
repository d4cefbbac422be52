"""A model of the service on AWS: how long jobs wait, what they cost, and which limit is reached first.

It is the study that chose the six numbers of scaling in infra/templates/runners.yml (docs/capacity.md has its
results). `python -m tools.capacity` prints it all again. It imports nothing of the program, so that it can be
changed or removed without touching what is deployed; tests compare its recommendation with the templates.
"""
