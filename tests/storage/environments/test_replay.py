"""What a replay says of any sequence of snapshots is what was reported."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from domain.environments.artifacts import Instances, Running
from domain.environments.snapshots import ChangedSnapshot, changes_between
from storage.environments.replay import Replay, Replayed

ARTIFACTS = st.builds(Running, st.sampled_from("ab"), st.sampled_from("12"), st.sampled_from([None, "", "x"]))
MOMENTS = st.lists(st.dictionaries(ARTIFACTS, st.integers(1, 2), max_size=5), max_size=8)
START = datetime(2026, 1, 1, tzinfo=UTC)


def taken(moments: Sequence[Instances]) -> list[ChangedSnapshot]:
    """The snapshots of these moments that change something."""
    snapshots = [
        ChangedSnapshot(UUID(int=n), n, changes_between(before, now), at(n))
        for n, (before, now) in enumerate(zip([{}, *moments], moments, strict=False), 1)
    ]
    return [one for one in snapshots if one.changes or one.n == 1]


def at(n: int) -> datetime:
    return START + timedelta(minutes=n)


def ran_in(found: Replayed, n: int) -> Instances:
    return {
        Running(row["name"], row["digest"], row["tag"]): row["count"]
        for row in found.running
        if row["during"].lower <= n and (row["during"].upper is None or n < row["during"].upper)
    }


def stays(moments: Sequence[Instances]) -> set[tuple[str, str, int, int | None]]:
    """Since and until which snapshot each digest ran under a name, without a gap."""
    found, since = set(), dict[tuple[str, str], int]()
    for n, moment in enumerate(moments, 1):
        now = {artifact[:2] for artifact in moment}
        found |= {(*one, since.pop(one), n) for one in [*since] if one not in now}
        since |= {one: n for one in now if one not in since}
    return found | {(*one, n, None) for one, n in since.items()}


@given(MOMENTS, st.integers(1, 3))
def test_any_snapshot_is_what_was_reported_and_deployments_have_no_gaps(moments: list[Instances], chunk: int) -> None:
    snapshots, replay = taken(moments), Replay()
    chunks = [snapshots[start : start + chunk] for start in range(0, len(snapshots), chunk)] or [[]]
    parts = [replay.replay(some, are_last=some is chunks[-1]) for some in chunks]
    found = Replayed(*([row for part in parts for row in getattr(part, name)] for name in ("running", "deployments")))
    assert [ran_in(found, n) for n in range(1, len(moments) + 1)] == moments
    assert {(row["name"], row["digest"], row["deployed_n"], row["removed_n"]) for row in found.deployments} == stays(
        moments
    )
    assert {one for part in parts for one in part.begun} == {row["id"] for row in found.deployments}
    for part, some in zip(parts[:-1], chunks, strict=False):
        numbers = {one.n for one in some}
        assert {row["during"].upper for row in part.running} <= numbers, "only what ended is final"
        assert {row["removed_n"] for row in part.deployments} <= numbers


@given(MOMENTS)
def test_nothing_is_held_that_does_not_run(moments: list[Instances]) -> None:
    replay = Replay()
    replay.replay(taken([*moments, {}]), are_last=False)
    assert replay.replay([], are_last=True) == Replayed()
    held: Mapping[str, object] = vars(replay)
    assert not any(held.values())


def test_intervals_are_those_of_the_counts() -> None:
    web = Running("web", "1", None)
    found = Replay().replay(taken([{web: 1}, {web: 2}, {web: 2}, {}, {web: 2}]), are_last=True)
    intervals = defaultdict(list)
    for row in found.running:
        intervals[row["count"]].append(row["during"])
    assert intervals == {1: [asyncpg.Range(1, 2)], 2: [asyncpg.Range(2, 4), asyncpg.Range(5)]}
