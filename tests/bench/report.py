"""docs/benchmarks.md: the figures, the machine, the verdicts. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from tests.bench.figures import Spread
from tests.bench.outcomes import Check, Outcome, Series, disturbance, limit_of

_INTRODUCTION = """\
# Benchmarks

Written by `make bench`; do not edit. What counts are the ratios: ours and the baseline take turns within one run on one
PostgreSQL (fsync on), so that whatever else the machine does meets both. Every figure is the median of the rounds, with
the lowest and the highest beside it. Load comes from `wrk` on the same machine."""

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
        *([_DISTURBED.format(others, cores)] if others > _QUIET else []),
        "## Verdicts",
        table(("scenario", "what", "found", "target", "verdict"), (_verdict(o, c) for o in outcomes for c in o.checks)),
        *(_section(outcome, cores) for outcome in outcomes),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside of cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def number(value: float, unit: str) -> str:
    """Three significant digits below a hundred, whole numbers with separators above."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def _verdict(outcome: Outcome, check: Check) -> tuple[str, ...]:
    target = f"{check.relation} {number(check.target, check.unit)}"
    return outcome.name, check.what, number(check.found, check.unit), target, check.verdict


def _section(outcome: Outcome, cores: int) -> str:
    parts = [
        f"## {outcome.name}: {outcome.title}",
        table(("measured", "median", "lowest", "highest"), (_measured(series) for series in outcome.series)),
        *outcome.notes,
    ]
    if outcome.busy:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in outcome.busy.items())
        parts.append(f"Cores kept busy while ours was measured: {shares}.")
    if not outcome.met:
        parts.append(f"Not met. What limits: {limit_of(outcome.busy, cores)}.")
    if outcome.hot:
        rows = [(spot.function, f"{spot.share:.1%}", f"{spot.calls:,}") for spot in outcome.hot]
        parts.append("Profile of our process (cProfile, own time):")
        parts.append(table(("function", "share", "calls"), rows))
    return "\n\n".join(parts)


def _measured(series: Series) -> tuple[str, ...]:
    spread = Spread.of(series.values)
    return series.label, *(number(value, series.unit) for value in (spread.median, spread.low, spread.high))
