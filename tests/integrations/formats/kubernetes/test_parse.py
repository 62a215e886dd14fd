"""Which containers of a cluster run, out of what kubectl prints."""

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.environments.artifacts import Running
from integrations.formats.containers import instances_of
from integrations.formats.kubernetes.parse import read_pods, running_containers
from integrations.formats.parsed import Unreadable
from tests.integrations.mutations import anything, one_place_replaced
from tests.paths import FIXTURES

CLUSTER = json.loads((FIXTURES / "kubernetes" / "pods__cluster.json").read_text())
READ = {
    *("kind", "items", "metadata", "name", "namespace", "uid", "spec", "status", "phase", "continue"),
    *("containers", "initContainers", "ephemeralContainers", "image", "restartPolicy", "imageID", "state", "running"),
    *("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"),
}


def digest(digit: str) -> str:
    return f"sha256:{digit * 64}"


def running(*documents: Any) -> dict[Running, int]:
    content = "\n".join(json.dumps(one) for one in documents).encode()
    return dict(instances_of(one for pod in read_pods(content) for one in running_containers(pod)))


def pod(**status: Any) -> dict[str, Any]:
    whole = copy.deepcopy(CLUSTER["items"][0])
    whole["status"]["containerStatuses"][0] |= status
    return whole


def refusal(document: Any) -> str:
    with pytest.raises(Unreadable) as refused:
        running(document)
    return refused.value.message


def test_what_runs_in_a_cluster() -> None:
    """Not what waits, has ended, or prepares its pod; sidecars and ephemeral containers do run."""
    shop = "registry.example.com:5000/shop/web"
    assert running(CLUSTER) == {
        Running(shop, digest("a"), "1.2.0"): 3,
        Running(shop, digest("b"), "1.3.0"): 1,
        Running("valkey/valkey", digest("c"), "9.1"): 1,
        Running("runner", digest("d"), "dev"): 1,
        Running("tool", digest("e"), "local"): 1,
        Running("registry.example.com/pinned", digest("f"), None): 1,
        Running("registry.example.com/proxy", digest("2"), "2"): 1,
        Running("busybox", digest("3"), "1.36"): 1,
        Running("registry.k8s.io/coredns/coredns", digest("9"), "v1.11.1"): 1,
    }


def test_an_init_container_that_is_no_sidecar_does_not_count() -> None:
    """Such as one that runs again after the sandbox of its pod was lost."""
    mesh = copy.deepcopy(next(one for one in CLUSTER["items"] if one["metadata"]["name"] == "mesh-0"))
    mesh["status"]["initContainerStatuses"][0]["state"] = {"running": {}}
    assert not any(one.name == "registry.example.com/migrate" for one in running(mesh))
    mesh["spec"]["initContainers"][0]["restartPolicy"] = "Always"
    assert any(one.name == "registry.example.com/migrate" for one in running(mesh))


def test_a_list_of_the_api_a_pod_and_several_documents_are_read() -> None:
    first, second = CLUSTER["items"][:2]
    kindless = [{key: value for key, value in one.items() if key != "kind"} for one in (first, second)]
    both = {"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": kindless}
    [counted] = running(both).items()
    assert counted[1] == 2
    assert running(first, second) == running(both)
    assert running(both, second, CLUSTER) == running(CLUSTER), "a pod counts once"


def test_nothing_may_run() -> None:
    assert running({"kind": "List", "items": []}) == running({"kind": "PodList", "items": None}) == {}


def test_what_was_pulled_counts_before_what_was_asked_for() -> None:
    pinned = pod(image=f"app@{digest('1')}", imageID=f"app@{digest('2')}")
    assert running(pinned) == {Running("app", digest("2"), None): 1}


def test_a_container_without_a_digest_is_named() -> None:
    [found] = running_containers(read_pods(json.dumps(pod(imageID="")).encode())[0])
    assert (found.place, found.image.digest) == ("pod shop/web-5c9b-1, container app", None)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "The input is neither a Pod nor a list of pods"),
        ({}, "The input is neither a Pod nor a list of pods"),
        ({"kind": "Deployment"}, "The input is of kind Deployment, and not a Pod"),
        ({"kind": ["Pod"]}, "The input is of kind ['Pod'], and not a Pod"),
        ({"kind": "List"}, "items: Field required"),
        ({"kind": "List", "items": [CLUSTER["items"][0], {"kind": "Service"}]}, "items[1] is of kind Service"),
        ({"kind": "List", "items": ["pod"]}, "items[0]: Input should be a valid dictionary"),
        ({"kind": "PodList", "metadata": {"continue": "eyJ2"}, "items": []}, "The list is only the first page"),
        ({"kind": "Pod"}, "metadata: Field required"),
        (pod(imageID=7), "status.containerStatuses[0].imageID: Input should be a valid string"),
        (pod(state="running"), "status.containerStatuses[0].state: Input should be"),
    ],
)
def test_a_refusal_names_the_place(document: Any, message: str) -> None:
    assert refusal(document).startswith(message)


def test_of_several_documents_the_number_is_named() -> None:
    with pytest.raises(Unreadable, match=r"^Document 2\.items\[0\]\.metadata\.name: Field required"):
        running(pod(), {"kind": "List", "items": [{"metadata": {}}]})


@given(st.data())
def test_anything_in_one_place_is_read_or_refused_in_our_words(data: st.DataObject) -> None:
    content = one_place_replaced(CLUSTER, READ, data)
    with suppress(Unreadable):
        found = instances_of(one for pod in read_pods(content) for one in running_containers(pod))
        assert all(len(one.digest) == 71 and one.name and count > 0 for one, count in found.items())


@given(anything)
def test_anything_at_all_is_read_or_refused_in_our_words(value: Any) -> None:
    with suppress(Unreadable):
        assert read_pods(json.dumps(value).encode()) == []
