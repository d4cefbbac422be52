"""A person's container survives what a runner removes when it starts, whatever it is called."""

import contextlib
import io
import tarfile

import docker
import pytest

from runner.sandbox.docker.engine import LABEL, remove_leftovers, this_runner
from tests.support.engine import start_engine

# What a runner's own containers are called, and a person's: removal must not depend on it.
_NAMES = ("wic-notes", "wic-0123456789abcdef01234567")


def _empty_image() -> bytes:
    """A file system with one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("notes"))
    return packed.getvalue()


@pytest.mark.engine
def test_a_container_without_our_label_survives_a_start() -> None:
    """Names decide nothing: of these containers only the one with the label of a dead runner is removed."""
    host = this_runner().partition("/")[0]
    # 2**22 is the largest number that Linux gives to processes, so this one is dead.
    labels = {"ours": {LABEL: f"{host}/4194305-1"}, "theirs": {"will-it-compile": "notes", "wic": "1"}}
    with start_engine() as engine, engine.client() as client, contextlib.ExitStack() as stack:
        image = client.api.import_image_from_data(_empty_image(), repository="notes-of-a-person", tag="test")
        assert image
        stack.callback(client.images.remove, "notes-of-a-person:test", force=True)

        def create(name: str, labels: dict[str, str]) -> "docker.models.containers.Container":
            container = client.containers.create("notes-of-a-person:test", ["none"], name=name, labels=labels)
            stack.callback(_remove, container)
            return container

        theirs = [create(name, labels["theirs"]) for name in _NAMES]
        ours = create("notes", labels["ours"])
        assert remove_leftovers(client.api) >= 1
        left = {container.id for container in client.containers.list(all=True)}
        assert ours.id not in left
        assert {container.id for container in theirs} <= left


def _remove(container: "docker.models.containers.Container") -> None:
    with contextlib.suppress(docker.errors.NotFound):
        container.remove(force=True)
