"""Containers that run, as the tools of container platforms list them, and the images that they run."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from domain.environments.artifacts import Instances, Running, counted

_SHA256 = re.compile(r"(?:.*@|[a-z][a-z0-9.+-]*://)?(?:sha256:)?([0-9a-f]{64})", re.DOTALL)
_ID = re.compile(r"sha256:[0-9a-f]+|[0-9a-f]{64}")


class Image(NamedTuple):
    """A reference to an image in its parts. The name is empty if only the image's id is given."""

    name: str
    tag: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """A container that runs, and its image. `place` tells people which one it is."""

    place: str
    image: Image


def image_of(reference: str) -> Image:
    """Take a reference apart, such as `registry:5000/team/app:1.2@sha256:…`."""
    if _ID.fullmatch(reference):
        return Image("", digest=digest_of(reference))
    named, _, digest = reference.partition("@")
    path, slash, last = named.rpartition("/")
    name, _, tag = last.partition(":")
    return Image(path + slash + name, tag or None, digest_of(digest))


def digest_of(text: str) -> str | None:
    """Return `sha256:` and 64 digits out of the id that a runtime gives an image; None if it has no SHA-256.

    Runtimes write `repo@sha256:…`, `docker-pullable://repo@sha256:…`, `docker://sha256:…`, `sha256:…` or the digits.
    """
    found = _SHA256.fullmatch(text)
    return f"sha256:{found[1]}" if found else None


def instances_of(containers: Iterable[RunningContainer]) -> Instances:
    """Count the containers of each artifact. All of them have a digest."""
    return counted(
        (Running(image.name or digest, digest, image.tag), 1)
        for image, digest in ((one.image, one.image.digest) for one in containers)
        if digest is not None
    )
