"""Which containers of a host run, out of what Docker prints."""

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.environments.artifacts import Running
from integrations.formats.containers import instances_of
from integrations.formats.docker.parse import DockerHost, read_host
from integrations.formats.parsed import Unreadable
from tests.integrations.mutations import anything, one_place_replaced
from tests.paths import FIXTURES

FOLDER = FIXTURES / "docker"
CONTAINERS = (FOLDER / "inspect__containers.json").read_bytes()
IMAGES = (FOLDER / "inspect__images.json").read_bytes()
LINES = (FOLDER / "ps__lines.jsonl").read_bytes()
INSPECTED: list[dict[str, Any]] = json.loads(CONTAINERS)
READ = {
    *("Id", "Name", "Image", "State", "Running", "Restarting", "Config", "RepoTags", "RepoDigests"),
    *("ID", "Names", "Status"),
}

SHOP = "registry.example.com:5000/shop/web"
IN_REGISTRY = {
    Running(SHOP, f"sha256:{'aa55' * 16}", "1.2.0"): 2,
    Running("nginx", f"sha256:{'bb55' * 16}", None): 2,
    Running("tool", f"sha256:{'c' * 64}", "local"): 1,
    Running("registry.example.com/loaded", f"sha256:{'dd55' * 16}", "7"): 1,
    Running("registry.example.com/pinned", f"sha256:{'e' * 64}", None): 1,
}
"""A paused container runs; one that restarts or has ended does not."""


def running(host: DockerHost) -> dict[Running, int]:
    assert all(one.image.digest for one in host.containers)
    return dict(instances_of(host.containers))


def without_digest(host: DockerHost) -> list[str]:
    return [one.place for one in host.containers if one.image.digest is None]


@pytest.mark.parametrize("content", [CONTAINERS + IMAGES, IMAGES + b"\n" + CONTAINERS], ids=["before", "behind"])
def test_images_give_the_digests_of_the_registry(content: bytes) -> None:
    host = read_host(content)
    assert running(host) == IN_REGISTRY
    assert [one.place for one in host.without_image] == []


def test_containers_and_images_may_be_in_one_document() -> None:
    assert running(read_host(json.dumps(INSPECTED + json.loads(IMAGES)).encode())) == IN_REGISTRY


def test_without_images_their_ids_are_the_digests() -> None:
    host = read_host(CONTAINERS)
    assert running(host) == {
        Running(SHOP, f"sha256:{'a' * 64}", "1.2.0"): 2,
        Running("nginx", f"sha256:{'b' * 64}", None): 2,
        Running("tool", f"sha256:{'c' * 64}", "local"): 1,
        Running(f"sha256:{'d' * 64}", f"sha256:{'d' * 64}", None): 1,
        Running("registry.example.com/pinned", f"sha256:{'e' * 64}", None): 1,
    }
    assert [one.place for one in host.without_image] == [
        f"container {name}" for name in ("web-1", "web-2", "proxy", "tool", "by-id", "paused")
    ]


def test_lines_are_joined_with_images() -> None:
    assert running(read_host(LINES + IMAGES)) == IN_REGISTRY


def test_lines_alone_have_no_digests() -> None:
    assert without_digest(read_host(LINES)) == [
        f"container {name}" for name in ("web-1", "web-2", "proxy", "tool", "by-id", "paused")
    ]


def test_a_container_that_is_listed_and_inspected_counts_once() -> None:
    assert running(read_host(LINES + CONTAINERS + CONTAINERS + IMAGES)) == IN_REGISTRY


def test_an_old_docker_says_in_words_whether_a_container_runs() -> None:
    lines = [json.loads(line) for line in LINES.splitlines()]
    old = "\n".join(json.dumps({key: value for key, value in one.items() if key != "State"}) for one in lines)
    assert running(read_host(old.encode() + IMAGES)) == IN_REGISTRY


@pytest.mark.parametrize("asked", ["docker.io/library/nginx", "docker.io/nginx", "nginx:latest"])
def test_a_name_of_docker_hub_may_be_written_in_full(asked: str) -> None:
    container = copy.deepcopy(INSPECTED[2])
    container["Config"]["Image"] = asked
    listed = json.loads(LINES.splitlines()[2]) | {"Image": asked}
    for document in ([container], listed):
        [found] = running(read_host(json.dumps(document).encode() + IMAGES))
        assert found.digest == f"sha256:{'bb55' * 16}"


def test_ids_may_lack_their_prefix() -> None:
    """As old versions print them."""
    content = CONTAINERS.replace(b'"Image": "sha256:', b'"Image": "')
    assert running(read_host(content + IMAGES)) == IN_REGISTRY
    assert running(read_host(content)) == running(read_host(CONTAINERS))


def test_nothing_may_run() -> None:
    assert running(read_host(b"[]")) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "The input is neither a container nor an image"),
        (b"[1]", "[0] is neither a container nor an image"),
        (b'[{"Name": "bridge", "Scope": "local"}]', "[0] is neither a container nor an image, but has Name, Scope"),
        (CONTAINERS + b'[{"Repository": "a"}]', "Document 2[0] is neither a container nor an image, but has Repos"),
        (CONTAINERS.replace(b'"Running": true', b'"Running": "yes"', 1), "[0].State.Running: Input should be a valid"),
        (IMAGES.replace(b'"nginx@', b'7, "nginx@', 1), "[1].RepoDigests[0]: Input should be a valid string"),
        (LINES.replace(b'"ID": ', b'"ID": 7, "x": ', 1), "Document 1.ID: Input should be a valid string"),
    ],
)
def test_a_refusal_names_the_place(content: bytes, message: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_host(content)
    assert refused.value.message.startswith(message)


@given(st.data(), st.sampled_from([CONTAINERS, IMAGES, LINES.splitlines()[0]]))
def test_anything_in_one_place_is_read_or_refused_in_our_words(data: st.DataObject, content: bytes) -> None:
    with suppress(Unreadable):
        host = read_host(CONTAINERS + IMAGES + one_place_replaced(json.loads(content), READ, data))
        assert all(len(one.digest) == 71 and one.name for one in instances_of(host.containers))


@given(anything)
def test_anything_at_all_is_read_or_refused_in_our_words(value: Any) -> None:
    with suppress(Unreadable):
        assert not read_host(json.dumps(value).encode()).containers
