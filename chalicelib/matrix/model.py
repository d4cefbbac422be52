"""A matrix as it is stored under ``matrix:<id>``: which jobs it is made of, and what was left out.

It holds no status: what became of it is read from its jobs, so nothing here can be out of date.
"""

from datetime import datetime

from pydantic import Field

from chalicelib.models import Environment, Expectation, Model, Stage, utc_now


class Cell(Model):
    """One environment of a matrix, and the job that compiles there. `standard` may be empty, where a
    language has none."""

    compiler: str
    standard: str
    target: str
    job_id: str


class Omission(Model):
    """A combination that cannot be compiled, and why. None stands for each one that was asked for."""

    compiler: str
    standard: str | None = None
    target: str | None = None
    reason: str


class Matrix(Model):
    """A matrix that was accepted. `environments` are those of its compilers, as they were registered then."""

    id: str
    language: str
    stage: Stage
    cells: tuple[Cell, ...]
    omitted: tuple[Omission, ...] = ()
    environments: tuple[Environment, ...] = ()
    expect: Expectation | None = None
    created_at: datetime = Field(default_factory=utc_now)
