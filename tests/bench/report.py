"""docs/benchmarks.md: the figures, the machine, the targets. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from tests.bench.figures import Spread
from tests.bench.interpreter import BUILD_NOTE
from tests.bench.outcomes import Check, Outcome, Series, disturbance, limit_of

_INTRODUCTION = """\
# Benchmarks

Written by `make bench`; do not edit. Trailgate and what it is compared with take turns within one run on one
PostgreSQL (fsync on), so that other load on the machine affects both. Every figure is the median of the rounds, with
the lowest and the highest beside it. Load comes from `wrk` on the same machine. Processor time is the user and system
time of a process with its children, PostgreSQL's with all its backends; other load disturbs it less than a rate."""

_QUIET = 0.2
_DISTURBED = (
    "**This run was disturbed**: something else kept up to {:.2f} of the {} cores busy. Absolute figures are too low, "
    "and so are ratios to a baseline that spreads over more processes than ours. Run it again on an idle machine."
)


def render(outcomes: Sequence[Outcome], machine: Mapping[str, str], cores: int) -> str:
    """The whole page."""
    others = disturbance(outcomes)
    parts = [
        _INTRODUCTION,
        table(("machine", ""), machine.items()),
        BUILD_NOTE,
        *([_DISTURBED.format(others, cores)] if others > _QUIET else []),
        "## Targets",
        table(("scenario", "figure", "found", "target", "result"), (_target(o, c) for o in outcomes for c in o.checks)),
        *(_section(outcome, cores) for outcome in outcomes),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside of cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def number(value: float | None, unit: str) -> str:
    """Three significant digits below a hundred, whole numbers with separators above; a dash for what is not there."""
    if value is None:
        return "-"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def _target(outcome: Outcome, check: Check) -> tuple[str, ...]:
    target = f"{check.relation} {number(check.target, check.unit)}".strip()
    return outcome.name, check.what, number(check.found, check.unit), target, check.result


def _section(outcome: Outcome, cores: int) -> str:
    parts = [
        f"## {outcome.name}: {outcome.title}",
        *outcome.notes,
    ]
    if outcome.series:
        measured = (_measured(series) for series in outcome.series)
        parts.append(table(("measured", "median", "lowest", "highest"), measured))
    if outcome.busy:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in outcome.busy.items())
        parts.append(f"Cores kept busy while ours was measured: {shares}.")
    if not outcome.met:
        parts.append(f"Not met. What limits: {limit_of(outcome.busy, cores)}.")
    if outcome.hot:
        hottest = [(spot.function, f"{spot.share:.1%}", f"{spot.calls:,}") for spot in outcome.hot]
        parts.append("Profile of our process (cProfile, own time):")
        parts.append(table(("function", "share", "calls"), hottest))
    return "\n\n".join(parts)


def _measured(series: Series) -> tuple[str, ...]:
    spread = Spread.of(series.values)
    return series.label, *(number(value, series.unit) for value in (spread.median, spread.low, spread.high))
