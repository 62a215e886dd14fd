"""Pods as the API of Kubernetes (v1) describes them, and which of their containers run.

Read is what `kubectl get pods -o json` prints: a List, a PodList or a Pod, or several of them one after another.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from integrations.formats.containers import Image, RunningContainer, digest_of, image_of
from integrations.formats.json_documents import Shape, checked, read_documents
from integrations.formats.json_files import as_object, as_text
from integrations.formats.parsed import Unreadable, shown

LISTS = frozenset({"List", "PodList"})
NOT_RUNNING = frozenset({"Pending", "Succeeded", "Failed"})
"""Phases of pods whose containers do not run, or not yet."""


class Metadata(Shape):
    """The names of a pod."""

    name: str
    namespace: str | None = None
    uid: str | None = None


class ContainerSpec(Shape):
    """What a container is to be. An init container that restarts `Always` is a sidecar, which keeps running."""

    name: str
    image: str | None = None
    restart_policy: str | None = Field(None, alias="restartPolicy")


class PodSpec(Shape):
    """The containers that a pod is to have."""

    containers: Sequence[ContainerSpec] | None = None
    init_containers: Sequence[ContainerSpec] | None = Field(None, alias="initContainers")
    ephemeral_containers: Sequence[ContainerSpec] | None = Field(None, alias="ephemeralContainers")


class ContainerState(Shape):
    """One of `running`, `waiting` and `terminated` is set."""

    running: dict[str, Any] | None = None


class ContainerStatus(Shape):
    """A container as it is. The image may be spelled in another way than in the specification."""

    name: str
    image: str | None = None
    image_id: str | None = Field(None, alias="imageID")
    state: ContainerState | None = None


class PodStatus(Shape):
    """What has become of a pod."""

    phase: str | None = None
    containers: Sequence[ContainerStatus] | None = Field(None, alias="containerStatuses")
    init_containers: Sequence[ContainerStatus] | None = Field(None, alias="initContainerStatuses")
    ephemeral_containers: Sequence[ContainerStatus] | None = Field(None, alias="ephemeralContainerStatuses")


class Pod(Shape):
    """A pod."""

    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def namespace(self) -> str:
        """The namespace, which a pod without one in its description gets."""
        return self.metadata.namespace or "default"


class Continuation(Shape):
    """What a list says about itself: `continue` is set if it is only a page."""

    following: str | None = Field(None, alias="continue")


class Items(Shape):
    """A list of objects."""

    metadata: Continuation | None = None
    items: Sequence[dict[str, Any]] | None


def read_pods(content: bytes) -> list[Pod]:
    """Return the pods of the input, each once. Raises Unreadable."""
    documents = read_documents(content)
    found: dict[str, Pod] = {}
    for number, document in enumerate(documents, 1):
        place = f"Document {number}" if len(documents) > 1 else ""
        for pod in _pods(document, place):
            metadata = pod.metadata
            found[metadata.uid or f"{pod.namespace}/{metadata.name}"] = pod
    return list(found.values())


def _pods(document: Any, place: str) -> Iterator[Pod]:
    if as_text(as_object(document).get("kind")) in LISTS:
        listed = checked(Items, document, place)
        if listed.metadata and listed.metadata.following:
            raise Unreadable("The list is only the first page of all pods: metadata.continue is set")
        for number, item in enumerate(listed.items or ()):
            yield _pod(item, f"{place}.items[{number}]", required_kind=False)
    else:
        yield _pod(document, place, required_kind=True)


def _pod(value: Any, place: str, *, required_kind: bool) -> Pod:
    """Check one object; in a PodList of the API, the items do not name their kind."""
    kind = as_object(value).get("kind")
    if kind != "Pod" and (required_kind or kind is not None):
        what = f"of kind {shown(str(kind))}, and not a Pod" if kind else "neither a Pod nor a list of pods"
        raise Unreadable(f"{place.removeprefix('.') or 'The input'} is {what}: give what `kubectl get pods` prints")
    return checked(Pod, value, place)


def running_containers(pod: Pod) -> Iterator[RunningContainer]:
    """Yield the containers of a pod that run now: ordinary ones, sidecars and ephemeral ones."""
    spec, status = pod.spec, pod.status
    if status.phase in NOT_RUNNING:
        return
    sidecars = [one for one in spec.init_containers or () if one.restart_policy == "Always"]
    names = {one.name for one in sidecars}
    init = [one for one in status.init_containers or () if one.name in names]
    wanted = [*(spec.containers or ()), *sidecars, *(spec.ephemeral_containers or ())]
    images = {one.name: one.image for one in wanted}
    for one in (*(status.containers or ()), *init, *(status.ephemeral_containers or ())):
        if one.state and one.state.running is not None:
            place = f"pod {pod.namespace}/{pod.metadata.name}, container {one.name}"
            yield RunningContainer(place, _image(one, images.get(one.name)))


def _image(status: ContainerStatus, specified: str | None) -> Image:
    """Return the image of a container. If the runtime shows an id in place of a name, the specification has the name.

    What the runtime has pulled (`imageID`) counts before the digest that was asked for: of an image for several
    platforms they are the same.
    """
    image = image_of(status.image or "")
    asked = image if image.name else image_of(specified or "")
    return Image(asked.name, asked.tag, digest_of(status.image_id or "") or image.digest or asked.digest)
