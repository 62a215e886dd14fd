"""`trailgate snapshot`: report what runs in an environment, from what the tools of the platform print."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import BaseModel, Field, RootModel

from cli.client import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE, Api, Refused, connected, understood
from cli.fingerprints import PathsFile, Tracked, fingerprint
from cli.output import counted, note, printable, progress, say, table
from domain.environments.artifacts import Instances, Running
from domain.errors import Invalid, NotFound
from domain.facts.safe_yaml import UnreadableYaml, read_yaml
from integrations.formats.containers import RunningContainer, instances_of
from integrations.formats.docker.parse import read_host
from integrations.formats.json_documents import MAX_BYTES, checked
from integrations.formats.json_files import as_utf8, parse_json
from integrations.formats.kubernetes.parse import read_pods, running_containers
from integrations.formats.parsed import Unreadable

snapshot = typer.Typer(
    help=f"Report what runs in an environment. The key is taken from {KEY_VARIABLE}.", no_args_is_help=True
)

STDIN = Path("-")
ENVIRONMENTS = "api/v1/environments"
MAX_LISTED = 20
"""Containers that a message lists."""

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)

EnvironmentOption = Annotated[str, typer.Option("--environment", "-e", help="Name or id of the environment.")]
FileOption = Annotated[Path, typer.Option(help="File to read instead of standard input.")]
UrlOption = Annotated[str, typer.Option(envvar=URL_VARIABLE, help="Address of the API.")]
CreateOption = Annotated[bool, typer.Option("--create", help="Create the environment if there is none of this name.")]
OnlyChangesOption = Annotated[
    bool, typer.Option("--only-changes", help="Record no new snapshot if the same runs as in the latest one.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be reported, and send nothing.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the recorded snapshot as JSON; with --dry-run the body to send.")
]
SkipOption = Annotated[
    bool,
    typer.Option(
        "--skip-without-digest", help="Leave out containers whose digest is unknown, instead of reporting nothing."
    ),
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a snapshot goes, and what is printed. `type` is that of an environment to create."""

    environment: str
    type: str
    url: str
    _: KW_ONLY
    create: bool
    only_changes: bool
    dry_run: bool
    as_json: bool


class Named(BaseModel):
    """What is read of an environment."""

    id: UUID
    name: str


class Environments(RootModel[list[Named]]):
    """A list of environments."""


class Recorded(BaseModel):
    """What is read of a recorded snapshot."""

    index: int = Field(alias="snapshotIndex")
    artifacts: list[Any]


@snapshot.command("kubernetes")
def snapshot_kubernetes(
    *,
    environment: EnvironmentOption,
    file: FileOption = STDIN,
    namespace: Annotated[list[str] | None, typer.Option(help="Only pods of this namespace; may be repeated.")] = None,
    exclude_namespace: Annotated[
        list[str] | None, typer.Option(help="No pods of this namespace; may be repeated.")
    ] = None,
    skip_without_digest: SkipOption = False,
    url: UrlOption = DEFAULT_URL,
    create: CreateOption = False,
    only_changes: OnlyChangesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Report the containers that run in a cluster.

    Example: kubectl get pods -A -o json | trailgate snapshot kubernetes --environment production
    """
    with _readable(file):
        pods = read_pods(_content(file, "kubectl get pods -A -o json"))
    wanted = set(namespace or ()) or {pod.namespace for pod in pods}
    for name in sorted(wanted - {pod.namespace for pod in pods}):
        note(f"trailgate: no pod is in the namespace {printable(name)}.")
    wanted -= set(exclude_namespace or ())
    running = [one for pod in pods if pod.namespace in wanted for one in running_containers(pod)]
    _check_digests(running, "Their imageID has no SHA-256", skip=skip_without_digest)
    _report(
        instances_of(running),
        Target(environment, "K8S", url, create=create, only_changes=only_changes, dry_run=dry_run, as_json=as_json),
    )


@snapshot.command("docker")
def snapshot_docker(
    *,
    environment: EnvironmentOption,
    file: FileOption = STDIN,
    skip_without_digest: SkipOption = False,
    url: UrlOption = DEFAULT_URL,
    create: CreateOption = False,
    only_changes: OnlyChangesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Report the containers that run on a host.

    Example: docker inspect $(docker ps -q) | trailgate snapshot docker --environment host-1

    A container only names the id of its image. Pass also what `docker image inspect` prints about these images, and
    the digests in the registry are reported.
    """
    with _readable(file):
        host = read_host(_content(file, "docker inspect $(docker ps -q)"))
    missing = "`docker ps` does not show digests: run `docker inspect $(docker ps -q)`, or add `docker image inspect`"
    _check_digests(host.containers, missing, skip=skip_without_digest)
    if host.without_image:
        note(
            f"trailgate: {counted(len(host.without_image), 'container')} reported by the id of the image; for the "
            "digest in the registry, add what `docker image inspect` prints about the images."
        )
    _report(
        instances_of(host.containers),
        Target(environment, "DOCKER", url, create=create, only_changes=only_changes, dry_run=dry_run, as_json=as_json),
    )


@snapshot.command("paths")
def snapshot_paths(
    *,
    environment: EnvironmentOption,
    paths: Annotated[list[str] | None, typer.Argument(help="Files and folders; each is named by its path.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="YAML or JSON with artifacts by name, instead of paths; - is standard input.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Leave out what matches this pattern in the folders, such as '**/*.log'; may be repeated."),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    create: CreateOption = False,
    only_changes: OnlyChangesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Report files and folders, by the SHA-256 of their content."""
    if bool(paths) == (file is not None) or (exclude and file):
        raise typer.BadParameter("give either paths, with --exclude if needed, or --file")
    if not all(paths or ()):
        raise typer.BadParameter("a path is empty")
    given = {_absolute(path): Tracked(path=path, exclude=exclude or []) for path in paths or ()}
    tracked = _tracked(file) if file else given
    with progress("files") as advance:
        numbers = count(1)
        digests = {name: fingerprint(one, lambda: advance(next(numbers))) for name, one in tracked.items()}
    instances = {Running(name, digest, None): 1 for name, digest in digests.items()}
    _report(
        instances,
        Target(environment, "GENERIC", url, create=create, only_changes=only_changes, dry_run=dry_run, as_json=as_json),
    )


def _absolute(path: str) -> str:
    """Return the path from the root, without `..`, and with the symbolic links that it was given with."""
    absolute = os.path.abspath(path)  # noqa: PTH100
    absolute.encode()  # a path that is not UTF-8 cannot be sent
    return absolute


def _tracked(file: Path) -> Mapping[str, Tracked]:
    """Read the artifacts of a paths file. Raises Invalid."""
    with _readable(file):
        content = as_utf8(_content(file, "cat paths.yml"))
        if not content.strip():
            raise Unreadable("The input is empty")
        try:
            document = parse_json(content)
        except Unreadable:  # most files are YAML
            document = _yaml(content.decode())
        return checked(PathsFile, document).artifacts


def _yaml(text: str) -> Any:
    try:
        return read_yaml(text)
    except UnreadableYaml as error:
        raise Unreadable(str(error)) from None


def _content(file: Path, command: str) -> bytes:
    """Read a file or the standard input, but not more than may be parsed; `command` is what usually prints it."""
    if file != STDIN:
        with file.open("rb") as opened_file:
            return opened_file.read(MAX_BYTES + 1)
    if sys.stdin is None or sys.stdin.isatty():
        raise Invalid(f"Nothing is piped in: run `{command} | trailgate snapshot …`, or give --file.")
    return sys.stdin.buffer.read(MAX_BYTES + 1)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn Unreadable into Invalid, which names the file."""
    try:
        yield
    except Unreadable as error:
        place = "standard input" if file == STDIN else file
        raise Invalid(f"{printable(place)}: {printable(error.message)}") from None


def _check_digests(containers: Sequence[RunningContainer], why: str, *, skip: bool) -> None:
    """Raise Invalid, naming the containers without a digest; with `skip`, only tell about them."""
    unknown = [printable(one.place) for one in containers if one.image.digest is None]
    if not unknown:
        return
    more = f" and {len(unknown) - MAX_LISTED} more" if len(unknown) > MAX_LISTED else ""
    listed = "; ".join(unknown[:MAX_LISTED]) + more
    if not skip:
        raise Invalid(
            f"Nothing is reported, because {counted(len(unknown), 'container')} without a digest cannot be: {listed}. "
            f"{why}. To leave out such containers, give --skip-without-digest."
        )
    note(f"trailgate: {counted(len(unknown), 'container')} left out, without a digest: {listed}.")


def _report(instances: Instances, target: Target) -> None:
    """Send what runs, or print it, and tell what has been recorded."""
    target.environment.encode()  # a name that is not UTF-8 cannot be sent
    artifacts = sorted(instances.items(), key=lambda one: (one[0].name, one[0].digest, one[0].tag or ""))
    body = {"artifacts": [_artifact(*one) for one in artifacts]}
    if target.dry_run:
        _print_body(body, as_json=target.as_json)
        return
    answer = asyncio.run(_send(body, target))
    recorded = understood(Recorded, answer)
    if target.as_json:
        say(json.dumps(answer, indent=2))
    else:
        kept = counted(len(recorded.artifacts), "artifact")
        say(f"Snapshot {recorded.index} of {printable(target.environment)}: {kept}.")
    if left_out := len(artifacts) - len(recorded.artifacts):
        note(f"trailgate: {counted(left_out, 'artifact')} left out, as the scope of the environment says.")


def _artifact(artifact: Running, instances: int) -> dict[str, Any]:
    tag = {} if artifact.tag is None else {"artifactTag": artifact.tag}
    named = {"artifactName": artifact.name, "artifactSha256": artifact.digest}
    return {**named, **tag, "instanceCount": instances}


def _print_body(body: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(body, indent=2))
    else:
        fields = ("artifactName", "artifactTag", "artifactSha256", "instanceCount")
        table(("NAME", "TAG", "DIGEST", "INSTANCES"), ([one.get(name) for name in fields] for one in body["artifacts"]))
    note(f"trailgate: {counted(len(body['artifacts']), 'artifact')} not sent, because of --dry-run.")


async def _send(body: Mapping[str, Any], target: Target) -> Any:
    """Record the snapshot. A repetition after a lost answer does no harm: it says the same once more."""
    query = {"onlyChanges": "true"} if target.only_changes else {}
    async with connected(target.url) as api:
        environment_id = await _environment_id(api, target)
        return await api.post(f"{ENVIRONMENTS}/{environment_id}/snapshots", body, **query)


async def _environment_id(api: Api, target: Target) -> str:
    """Return the id of the target, of which a name or an id is given. Raises NotFound."""
    if _UUID.fullmatch(target.environment):
        return target.environment
    found = await _named(api, target.environment)
    if found is None and target.create:
        found = await _created(api, target)
    if found is None:
        raise NotFound(f"There is no environment '{printable(target.environment)}'; --create creates it.")
    return found


async def _named(api: Api, name: str) -> str | None:
    answer = understood(Environments, await api.get(ENVIRONMENTS, name=name))
    return next((str(one.id) for one in answer.root if one.name == name), None)


async def _created(api: Api, target: Target) -> str | None:
    """Create the environment; None if another reporter was faster and it is gone again."""
    try:
        answer = await api.post(ENVIRONMENTS, {"name": target.environment, "type": target.type})
    except Refused as refused:
        if refused.status != HTTPStatus.CONFLICT:
            raise
        return await _named(api, target.environment)
    return str(understood(Named, answer).id)
