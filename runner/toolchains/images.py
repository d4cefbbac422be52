"""Compilers in container images, for a sandbox that runs them: `docker pull gcc:14` offers gcc 14.

Our own image contains all compilers. The catalogue also names official images, which contain one each.
Every image that is present is tested for its compilers; a compiler that is in two of them is taken from
the first.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from chalicelib.catalog import Catalog
from runner.sandbox.base import ImageSandbox, Limits, Sandbox
from runner.toolchains.model import Toolchains
from runner.toolchains.probe import probe_toolchains


def sandboxes_by_image(sandbox: Sandbox) -> Mapping[str, Sandbox]:
    """The sandbox for each image but the sandbox's own; empty if it does not run images."""
    if not isinstance(sandbox, ImageSandbox):
        return {}
    return {image: sandbox.within(image) for image in sandbox.images if image != sandbox.image}


def find_in_images(
    catalog: Catalog,
    sandbox: ImageSandbox,
    limits: Limits,
    find_in_own_image: Callable[[], Toolchains],
    patterns: Sequence[str],
) -> Toolchains:
    """What all images contain, self-tested in them; `find_in_own_image` is for an image that is not official.

    Only environments of official images have the image's name in `image`; with it a job finds its sandbox.
    """
    probe = partial(probe_toolchains, limits=limits, find_executable=str, patterns=patterns)
    toolchains = Toolchains(())
    for image in sandbox.images:
        if image in catalog.official_images:
            more = probe(catalog.in_image(image), sandbox.within(image), image=image)
        else:
            more = find_in_own_image()
        toolchains = _joined(toolchains, more)
    return toolchains


def _joined(first: Toolchains, more: Toolchains) -> Toolchains:
    new = [item for item in more.environments if first.environment(item.language, item.id) is None]
    return Toolchains(
        environments=(*first.environments, *new),
        unavailable=(*first.unavailable, *more.unavailable),
        entries={**more.entries, **first.entries},
    )
