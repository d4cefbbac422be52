"""Compilers in container images, for a sandbox that runs such: `docker pull gcc:14` offers gcc 14.

One image of our own holds all compilers. Besides, the catalogue names official images, which hold one each.
Each image that is there is asked for what it holds; a compiler that two of them have is taken from the first.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from chalicelib.catalog import Catalog
from runner.sandbox.base import ImageSandbox, Limits, Sandbox
from runner.toolchains.model import Toolchains
from runner.toolchains.probe import probe_toolchains


def sandboxes_by_image(sandbox: Sandbox) -> Mapping[str, Sandbox]:
    """The sandbox for each image besides the sandbox's own; none where it runs no images."""
    if not isinstance(sandbox, ImageSandbox):
        return {}
    return {image: sandbox.within(image) for image in sandbox.images if image != sandbox.image}


def find_in_images(
    catalog: Catalog,
    sandbox: ImageSandbox,
    limits: Limits,
    own: Callable[[], Toolchains],
    wanted: Sequence[str],
) -> Toolchains:
    """What all images hold, self-tested in them; `own` tells what one that is not official does.

    Only environments of official images name these in `image`, which is how a job finds its sandbox.
    """
    probe = partial(probe_toolchains, limits=limits, find_executable=str, wanted=wanted)
    found = Toolchains(())
    for image in sandbox.images:
        if image in catalog.official_images:
            found = _joined(found, probe(catalog.in_image(image), sandbox.within(image), image=image))
        else:
            found = _joined(found, own())
    return found


def _joined(first: Toolchains, more: Toolchains) -> Toolchains:
    new = [each for each in more.environments if first.environment(each.language, each.id) is None]
    return Toolchains(
        environments=(*first.environments, *new),
        unavailable=(*first.unavailable, *more.unavailable),
        entries={**more.entries, **first.entries},
    )
