"""Containers and images as the commands of Docker print them, and which containers run.

Read are `docker inspect` of containers and images, in any order and in one document or several, and the lines of
`docker ps --format json`. Only the image knows its digest in a registry; a container knows the id of its image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from integrations.formats.containers import Image, RunningContainer, digest_of, image_of
from integrations.formats.json_documents import Shape, checked, read_documents
from integrations.formats.parsed import Unreadable, shown

_SHORT = 12
"""Digits of an id that `docker ps` shows."""
_HUB = ("docker.io/library/", "docker.io/", "index.docker.io/")
"""What Docker leaves out of the names of images on Docker Hub."""


class State(Shape):
    """Whether a container runs; a paused one does as well."""

    running: bool = Field(alias="Running")
    restarting: bool = Field(default=False, alias="Restarting")


class Config(Shape):
    """How a container was started: `image` is the reference that was asked for."""

    image: str = Field(alias="Image")


class Inspected(Shape):
    """A container, from `docker inspect`. `image` is the id of its image."""

    id: str = Field(alias="Id", min_length=1)
    name: str = Field("", alias="Name")
    image: str = Field("", alias="Image")
    state: State = Field(alias="State")
    config: Config = Field(alias="Config")

    @property
    def runs(self) -> bool:
        """Whether it runs now, and does not wait for its restart."""
        return self.state.running and not self.state.restarting


class Listed(Shape):
    """A container, from `docker ps`. `image` is what was asked for, or an id if the name now means another image."""

    id: str = Field(alias="ID", min_length=1)
    names: str = Field("", alias="Names")
    image: str = Field(alias="Image")
    state: str = Field("", alias="State")
    status: str = Field("", alias="Status")

    @property
    def runs(self) -> bool:
        """Whether it runs now; old versions of Docker say so in words only."""
        return self.state in ("running", "paused") if self.state else self.status.startswith("Up")


class LocalImage(Shape):
    """An image, from `docker image inspect`."""

    id: str = Field(alias="Id", min_length=1)
    tags: Sequence[str] | None = Field(None, alias="RepoTags")
    digests: Sequence[str] | None = Field(None, alias="RepoDigests")

    def is_named(self, reference: str) -> bool:
        """Whether `docker ps` may mean this image: by its tag, its digest, or the beginning of its id."""
        image = image_of(reference)
        if _begins(self.id, reference):
            return True
        if image.digest:
            return image.digest in map(digest_of, (self.id, *(self.digests or ())))
        named = f"{_familiar(image.name)}:{image.tag or 'latest'}"
        return named in (f"{_familiar(tag.name)}:{tag.tag}" for tag in map(image_of, self.tags or ()))

    def image(self, asked: Image) -> Image:
        """Return the image as it was asked for, with its digest in that repository, else in any, else its id."""
        known = [image_of(one) for one in sorted(self.digests or ())]
        same = [one for one in known if _familiar(one.name) == _familiar(asked.name)]
        named = next(iter([*map(image_of, sorted(self.tags or ())), *known]), Image(""))
        chosen = next((one.digest for one in (*same, *known) if one.digest), None)
        name, tag = (asked.name, asked.tag) if asked.name else (named.name, named.tag)
        return Image(name, tag, chosen or digest_of(self.id))


def _familiar(name: str) -> str:
    """Return the name of a repository as Docker shows it."""
    prefix = next((prefix for prefix in _HUB if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


@dataclass(frozen=True, slots=True)
class DockerHost:
    """What runs on a host.

    `without_image` are those of the containers whose image was not inspected, so that the id stands for the digest.
    """

    containers: Sequence[RunningContainer]
    without_image: Sequence[RunningContainer]


def read_host(content: bytes) -> DockerHost:
    """Return the containers of the input that run, each once. Raises Unreadable."""
    inspected: dict[str, Inspected] = {}
    listed: dict[str, Listed] = {}
    images: dict[str, LocalImage] = {}
    for part in _parts(content):
        match part:
            case Inspected():
                inspected[part.id[:_SHORT]] = part
            case Listed():
                listed[part.id[:_SHORT]] = part
            case LocalImage():
                images[_digits(part.id)] = part
    running = [one for one in inspected.values() if one.runs]
    further = [one for short, one in listed.items() if one.runs and short not in inspected]
    return DockerHost(
        containers=[
            *(_of_inspected(one, images.get(_digits(one.image))) for one in running),
            *(_of_listed(one, images) for one in further),
        ],
        without_image=[
            _of_inspected(one, None)
            for one in running
            if _digits(one.image) not in images and not image_of(one.config.image).digest
        ],
    )


def _of_inspected(container: Inspected, local: LocalImage | None) -> RunningContainer:
    asked = _asked(container.config.image, container.image)
    image = asked if asked.name and asked.digest else local.image(asked) if local else None
    place = f"container {container.name.removeprefix('/') or container.id[:_SHORT]}"
    return RunningContainer(place, image or Image(asked.name, asked.tag, digest_of(container.image)))


def _of_listed(container: Listed, images: dict[str, LocalImage]) -> RunningContainer:
    local = next((one for one in images.values() if one.is_named(container.image)), None)
    asked = _asked(container.image, local.id if local else "")
    image = asked if asked.name and asked.digest else local.image(asked) if local else asked
    return RunningContainer(f"container {container.names or container.id[:_SHORT]}", image)


def _asked(reference: str, image_id: str) -> Image:
    """Return what was asked for; the name is empty if that was the image's id, or the beginning of it."""
    return Image("") if _begins(image_id, reference) else image_of(reference)


def _begins(image_id: str, reference: str) -> bool:
    """Whether a reference is an image's id, or so much of its beginning as Docker shows."""
    digits = _digits(reference)
    return len(digits) >= _SHORT and _digits(image_id).startswith(digits)


def _digits(image_id: str) -> str:
    return image_id.removeprefix("sha256:")


def _parts(content: bytes) -> Iterator[Inspected | Listed | LocalImage]:
    documents = read_documents(content)
    for number, document in enumerate(documents, 1):
        place = f"Document {number}" if len(documents) > 1 else ""
        if isinstance(document, list):
            for index, value in enumerate(document):
                yield _part(value, f"{place}[{index}]")
        else:
            yield _part(document, place)


def _part(value: Any, place: str) -> Inspected | Listed | LocalImage:
    keys = value.keys() if isinstance(value, dict) else ()
    if "State" in keys and "Config" in keys:
        return checked(Inspected, value, place)
    if "RepoTags" in keys or "RepoDigests" in keys:
        return checked(LocalImage, value, place)
    if "ID" in keys and "Image" in keys:
        return checked(Listed, value, place)
    seen = f", but has {', '.join(map(shown, list(keys)[:3]))}" if keys else ""
    raise Unreadable(
        f"{place or 'The input'} is neither a container nor an image{seen}: give what `docker inspect` prints"
    )
