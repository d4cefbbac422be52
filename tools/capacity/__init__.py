"""A model of the service on AWS: how long jobs wait, what they cost, and what becomes the limit.

`python -m tools.capacity` prints all of it; the templates' numbers of scaling are those that it recommends.
"""
