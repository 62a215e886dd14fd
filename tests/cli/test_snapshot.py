"""What runs, from what the tools print to what a real API has recorded."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import structlog

from api.app import build_app
from cli.checks.settings import examine_variables
from cli.client import KEY_VARIABLE, URL_VARIABLE
from domain.identity.organisations import NewOrganisation
from domain.tenant import Tenant
from storage.identity.commands.organisations import create_organisation
from storage.services import Services, open_services
from tests.api.caller import NOBODY, make_holder, unique
from tests.api.limited import LimitedTestServer
from tests.conftest import Installation
from tests.paths import FIXTURES, ROOT

PODS = FIXTURES / "kubernetes" / "pods__cluster.json"
CONTAINERS = FIXTURES / "docker" / "inspect__containers.json"
IMAGES = FIXTURES / "docker" / "inspect__images.json"
LINES = FIXTURES / "docker" / "ps__lines.jsonl"
PIPED = b'{"kind": "List", "items": []}'


@dataclass(frozen=True)
class Served:
    """A running API, and a key of an organisation that only this module knows."""

    url: str
    key: str
    key_for: Callable[[str], str]
    """Return another key, which is limited to this scope."""

    def get(self, path: str) -> Any:
        with urlopen(Request(f"{self.url}/api/v1{path}", headers={"X-Api-Key": self.key})) as answer:
            return json.load(answer)

    def environment(self, name: str) -> Any:
        [found] = self.get(f"/environments?name={name}")
        return found

    def latest(self, name: str) -> Any:
        return self.get(f"/environments/{self.environment(name)['id']}/snapshots/latest")


@pytest.fixture(scope="module")
def served(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """In a thread of its own, since commands run in this one. What it logs is not shown among what they print."""
    logging_before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    opened = open_services(installation.settings(tmp_path_factory.mktemp("served")), "test cli")
    services = call(opened.__aenter__())
    server = LimitedTestServer(build_app(services))
    call(server.start_server())
    tenant = call(_organisation(services))
    key = call(_key(services, tenant))
    try:
        yield Served(str(server.make_url("")).rstrip("/"), key, lambda scope: call(_key(services, tenant, scope)))
    finally:
        call(server.close())
        call(opened.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        structlog.configure(**logging_before)


async def _organisation(services: Services) -> Tenant:
    async with services.database.transaction() as tx:
        return (await create_organisation(tx, NewOrganisation(unique("org"), "An organisation"), NOBODY)).tenant


async def _key(services: Services, tenant: Tenant, *scopes: str) -> str:
    return (await make_holder(services, tenant, "snapshotter", scopes=list(scopes) or None)).key


@pytest.fixture(autouse=True)
def _reached(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, served.url)
    monkeypatch.setenv(KEY_VARIABLE, served.key)


@pytest.fixture
def snapshot(trailgate, monkeypatch: pytest.MonkeyPatch):
    """Run `trailgate snapshot` with this on standard input."""

    def snapshot(*words: object, piped: bytes = b"") -> Any:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(piped)))
        return trailgate("snapshot", *words)

    return snapshot


def lines_of(shown: str) -> list[list[str]]:
    return [line.split("\t") for line in shown.splitlines()]


def test_a_cluster_is_reported(snapshot, served: Served) -> None:
    name = unique("cluster")
    done = snapshot("kubernetes", "--environment", name, "--create", piped=PODS.read_bytes())
    assert (done.status, done.out, done.err) == (0, f"Snapshot 1 of {name}: 9 artifacts.\n", "")
    assert served.environment(name)["type"] == "K8S"
    recorded = served.latest(name)
    [web] = [one for one in recorded["artifacts"] if one["artifactTag"] == "1.2.0"]
    assert web == {
        "artifactSha256": f"sha256:{'a' * 64}",
        "artifactName": "registry.example.com:5000/shop/web",
        "artifactTag": "1.2.0",
        "instanceCount": 3,
        "complianceState": "UNKNOWN",
    }
    pinned = next(one for one in recorded["artifacts"] if one["artifactName"].endswith("pinned"))
    assert (pinned["artifactTag"], pinned["instanceCount"]) == (None, 1)


def test_a_real_pipe_reports_to_an_environment_by_its_id(served: Served, snapshot) -> None:
    name = unique("cluster")
    snapshot("kubernetes", "-e", name, "--create", piped=PIPED)
    done = subprocess.run(
        [sys.executable, "-m", "cli", "snapshot", "kubernetes", "--environment", served.environment(name)["id"]],
        cwd=ROOT,
        env={"PATH": os.defpath, URL_VARIABLE: served.url, KEY_VARIABLE: served.key},
        input=PODS.read_text(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Snapshot 2 of {served.environment(name)['id']}: 9 artifacts.\n"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--namespace", "kube-system"], {"registry.k8s.io/coredns/coredns"}),
        (["--namespace", "kube-system", "--namespace", "batch"], {"registry.k8s.io/coredns/coredns"}),
        (["--exclude-namespace", "shop"], {"registry.k8s.io/coredns/coredns"}),
        (["--namespace", "shop", "--exclude-namespace", "shop"], set()),
    ],
)
def test_namespaces_are_chosen(words: list[str], names: set[str], snapshot) -> None:
    done = snapshot("kubernetes", "-e", "x", "--file", PODS, "--dry-run", *words)
    assert {line[0] for line in lines_of(done.out)[1:]} == names
    assert done.status == 0
    assert done.err.endswith(" not sent, because of --dry-run.\n")


def test_a_namespace_without_pods_is_told(snapshot) -> None:
    done = snapshot("kubernetes", "-e", "x", "--file", PODS, "--dry-run", "--namespace", "shpo")
    assert done.status == 0
    assert done.err.startswith("trailgate: no pod is in the namespace shpo.\n")


@pytest.fixture
def undigested() -> bytes:
    """Two pods whose runtime does not tell what it has pulled."""
    pods = json.loads(PODS.read_text())
    for pod in pods["items"][:2]:
        pod["status"]["containerStatuses"][0]["imageID"] = ""
    return json.dumps(pods).encode()


def test_containers_without_a_digest_stop_the_report(snapshot, served: Served, undigested: bytes) -> None:
    name = unique("cluster")
    refused = snapshot("kubernetes", "-e", name, "--create", piped=undigested)
    assert (refused.status, refused.out) == (2, "")
    assert "2 containers without a digest cannot be: pod shop/web-5c9b-1, container app; pod shop/web" in refused.err
    assert served.get(f"/environments?name={name}") == []


def test_or_are_left_out(snapshot, undigested: bytes) -> None:
    done = snapshot("kubernetes", "-e", unique("cluster"), "--create", "--skip-without-digest", piped=undigested)
    assert done.status == 0
    assert done.err.startswith(
        "trailgate: 2 containers left out, without a digest: pod shop/web-5c9b-1, container app;"
    )


def test_a_host_is_reported_with_the_digests_of_the_registry(snapshot, served: Served) -> None:
    name = unique("host")
    piped = CONTAINERS.read_bytes() + IMAGES.read_bytes()
    done = snapshot("docker", "-e", name, "--create", piped=piped)
    assert (done.status, done.out, done.err) == (0, f"Snapshot 1 of {name}: 5 artifacts.\n", "")
    assert served.environment(name)["type"] == "DOCKER"
    found = {one["artifactName"]: one["artifactSha256"] for one in served.latest(name)["artifacts"]}
    assert found["nginx"] == f"sha256:{'bb55' * 16}"


def test_a_host_is_reported_by_the_ids_of_images_with_a_hint(snapshot) -> None:
    done = snapshot("docker", "-e", unique("host"), "--create", "--file", CONTAINERS)
    assert done.status == 0
    assert done.err.startswith(
        "trailgate: 6 containers reported by the id of the image; for the digest in the registry"
    )


def test_lines_of_docker_ps_alone_are_refused_with_advice(snapshot) -> None:
    refused = snapshot("docker", "-e", "x", piped=LINES.read_bytes())
    assert (refused.status, refused.out) == (2, "")
    assert "6 containers without a digest cannot be: container web-1; " in refused.err
    assert "run `docker inspect $(docker ps -q)`, or add `docker image inspect`" in refused.err


def test_paths_are_reported(snapshot, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app").write_text("1")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "x.log").touch()
    monkeypatch.chdir(tmp_path)
    name = unique("server")
    done = snapshot("paths", "app", "./conf/../conf/", "--exclude", "*.log", "-e", name, "--create")
    assert (done.status, done.out, done.err) == (0, f"Snapshot 1 of {name}: 2 artifacts.\n", "")
    assert served.environment(name)["type"] == "GENERIC"
    found = {one["artifactName"]: one["artifactSha256"] for one in served.latest(name)["artifacts"]}
    assert found == {
        str(tmp_path / "app"): f"sha256:{sha256(b'1').hexdigest()}",
        str(tmp_path / "conf"): f"sha256:{sha256().hexdigest()}",
    }


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nartifacts:\n  shop:\n    path: app\n  web:\n    path: conf\n    exclude: ['**/*.log', tmp]\n",
        '{\n\t"version": 1,\n\t"artifacts": {"shop": {"path": "app"}, "web": {"path": "conf", "exclude": ["*"]}}\n}',
    ],
    ids=["yaml", "json"],
)
def test_paths_are_read_from_a_file(text: str, snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app").write_text("1")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "x.log").touch()
    (tmp_path / "paths.yml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = snapshot("paths", "--file", "paths.yml", "-e", "x", "--dry-run", "--json")
    assert json.loads(done.out) == {
        "artifacts": [
            {"artifactName": "shop", "artifactSha256": f"sha256:{sha256(b'1').hexdigest()}", "instanceCount": 1},
            {"artifactName": "web", "artifactSha256": f"sha256:{sha256().hexdigest()}", "instanceCount": 1},
        ]
    }
    assert snapshot("paths", "--file", "-", "-e", "x", "--dry-run", "--json", piped=text.encode()).out == done.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "paths.yml: The input is empty"),
        ("version: 1\n", "paths.yml: artifacts: Field required"),
        ("version: 2\nartifacts: {a: {path: x}}\n", "paths.yml: version: Input should be 1"),
        ("version: 1\nartifacts: {}\n", "paths.yml: artifacts: Dictionary should have at least 1 item"),
        ("version: 1\nartifacts: {a: {}}\n", "paths.yml: artifacts.a.path: Field required"),
        ("version: 1\nartifacts: {a: {path: x, excludes: []}}\n", "paths.yml: artifacts.a.excludes: Extra inputs"),
        ("version: 1\nartifacts: {a: {path: x}, a: {path: y}}\n", "paths.yml: line 2: the key 'a' appears twice"),
        ("version: 1\nartifacts: {a: {path: nowhere}}\n", "nowhere: No such file or directory"),
        ("\tversion", "paths.yml: line 1:"),
        ("a: &a [*a]", "paths.yml: line 1: anchors and aliases are not supported"),
        ("größe".encode("latin-1"), "An argument or file is not valid UTF-8."),
    ],
)
def test_a_file_that_cannot_be_used(
    text: str | bytes, message: str, snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paths.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.chdir(tmp_path)
    refused = snapshot("paths", "--file", "paths.yml", "-e", "x")
    assert (refused.status, refused.out) == (2, "")
    assert message in refused.err


@pytest.mark.parametrize(
    "words",
    [
        ["paths"],
        ["paths", "app", "--file", "paths.yml"],
        ["paths", "--file", "paths.yml", "--exclude", "x"],
        ["paths", ""],
        ["paths", "\udcff"],
        ["paths", "nowhere"],
        ["kubernetes", "--file", "nowhere"],
        ["kubernetes"],
        ["docker"],
    ],
)
def test_a_misuse_is_refused(words: list[str], snapshot) -> None:
    refused = snapshot(*words, "-e", "x")
    assert (refused.status, refused.out) == (2, "")


def test_an_environment_has_to_be_there(snapshot) -> None:
    refused = snapshot("kubernetes", "-e", "no such", piped=PIPED)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == "trailgate: There is no environment 'no such'; --create creates it.\n"
    refused = snapshot("kubernetes", "-e", "0198c0de-0000-7000-8000-00000000dead", "--create", piped=PIPED)
    assert refused.status == 2
    assert "answered 404: " in refused.err


def test_a_key_may_be_limited_to_one_environment(snapshot, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = unique("cluster"), unique("cluster")
    for name in (mine, other):
        snapshot("kubernetes", "-e", name, "--create", piped=PIPED)
    monkeypatch.setenv(KEY_VARIABLE, served.key_for(f"environment:{served.environment(mine)['id']}"))
    assert snapshot("kubernetes", "-e", mine, piped=PIPED).out == f"Snapshot 2 of {mine}: 0 artifacts.\n"
    for given in (other, served.environment(other)["id"]):
        assert snapshot("kubernetes", "-e", given, piped=PIPED).status == 2


def test_what_the_api_refuses_is_told(snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = snapshot("kubernetes", "-e", "x" * 300, "--create", piped=PIPED)
    assert refused.status == 2
    assert "answered 400: " in refused.err
    assert "name" in refused.err
    monkeypatch.setenv(KEY_VARIABLE, "tg_" + "0" * 64)
    refused = snapshot("kubernetes", "-e", "x", piped=PIPED)
    assert refused.status == 2
    assert "answered 401: " in refused.err


def test_the_same_again_is_a_new_snapshot_unless_only_changes_count(snapshot) -> None:
    name = unique("cluster")

    def index(*words: str) -> int:
        done = snapshot("kubernetes", "-e", name, "--json", *words, piped=PODS.read_bytes())
        return int(json.loads(done.out)["snapshotIndex"])

    assert [index("--create"), index(), index("--only-changes"), index()] == [1, 2, 2, 3]


def test_more_artifacts_than_a_snapshot_takes(snapshot) -> None:
    containers = [
        {"name": f"c{n}", "image": f"app:{n}", "imageID": f"sha256:{n:064x}", "state": {"running": {}}}
        for n in range(10_001)
    ]
    pod = {"kind": "Pod", "metadata": {"name": "all"}, "status": {"containerStatuses": containers}}
    refused = snapshot("kubernetes", "-e", unique("cluster"), "--create", piped=json.dumps(pod).encode())
    assert refused.status == 2
    assert "answered 413: artifacts: 10001 different ones" in refused.err


class Terminal(BytesIO):
    """Nobody pipes anything in."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_not_waited_for(trailgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(Terminal()))
    refused = trailgate("snapshot", "docker", "-e", "x")
    assert refused.status == 2
    assert "run `docker inspect $(docker ps -q) | trailgate snapshot …`, or give --file" in refused.err


def test_its_variables_are_known(snapshot) -> None:
    assert examine_variables([URL_VARIABLE, KEY_VARIABLE]) == []
    [found] = examine_variables(["TRAILGATE_API_KEYS"])
    assert "is not a setting" in found.found
