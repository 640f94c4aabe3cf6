"""Tell what came of a run: a table for people, one JSON object for programs, Markdown for docs/reliability.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.chaos.audit import Findings
from benchmarks.chaos.breaking import Breaking
from benchmarks.chaos.scale import BOTH, Scale
from benchmarks.chaos.stage import now

SHOWN = 12  # findings of a kind that are printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one run in one mode."""

    mode: str
    messages: int
    accepted: int
    findings: Findings
    recovery_s: float
    recovery_limit_s: float
    kills: int
    peak_mib: float
    growth_mib: float
    story: Sequence[str]  # what happened when
    done: Mapping[str, int]
    answers: Mapping[str, int]
    crossed: bool
    seconds: float

    @classmethod
    def of(
        cls, scale: Scale, breaking: Breaking, findings: Findings, *, silence_s: float, seconds: float, crossed: bool
    ) -> Result:
        """Put a result together."""
        watch, told = breaking.watch, breaking.told
        done = breaking.done | {
            "refused for the moment (503, Retry-After)": told.waits_told,
            "ms to start a process, mean": breaking.mean_start_ms(),
        }
        return cls(
            mode=breaking.stage.mode, messages=scale.messages, accepted=len(told.ids), findings=findings,
            recovery_s=max(watch.worst_s(), silence_s), recovery_limit_s=scale.recovery_limit_s, kills=len(watch.kills),
            peak_mib=watch.peak_mib(), growth_mib=watch.growth_mib(), done=done, answers=dict(told.answers),
            crossed=crossed, seconds=seconds, story=[*watch.story, f"longest silence after a kill: {silence_s:.1f} s"],
        )  # fmt: skip

    @property
    def good(self) -> bool:
        """Tell whether every promise was kept."""
        return self.accepted == self.messages and self.findings.good and self.recovery_s <= self.recovery_limit_s

    @property
    def figures(self) -> dict[str, object]:
        """Return the figures of the run, as the JSON object has them."""
        return {
            "accepted": self.accepted,
            "lost": len(self.findings.lost),
            "stuck": len(self.findings.stuck),
            "duplicates_at_most_once": len(self.findings.twice),
            "duplicates_at_least_once": len(self.findings.again) + len(self.findings.unmarked),
            "recovery_s": round(self.recovery_s, 1),
            "kills": self.kills,
            "mode": self.mode,
        }


def as_json(results: Sequence[Result]) -> str:
    """Return one line; of several modes the sums, and the worst recovery."""
    figures = results[0].figures
    if len(results) > 1:
        every = [one.figures for one in results]
        figures = {name: sum(int(str(one[name])) for one in every) for name in figures if name not in _WORST}
        figures |= {"recovery_s": max(float(str(one["recovery_s"])) for one in every), "mode": BOTH}
        figures = {name: figures[name] for name in every[0]}
    return json.dumps(figures)


_WORST = ("recovery_s", "mode")


def rows(results: Sequence[Result]) -> list[tuple[str, str, list[str]]]:
    """Return (what, what is required, the value for each result)."""
    return [
        ("accepted (202)", "all", [f"{one.accepted:,} of {one.messages:,}" for one in results]),
        ("lost", "0", [str(len(one.findings.lost)) for one in results]),
        ("stuck", "0", [str(len(one.findings.stuck)) for one in results]),
        ("duplicates, at_most_once", "0", [str(len(one.findings.twice)) for one in results]),
        ("duplicates, at_least_once, marked", "counted", [str(len(one.findings.again)) for one in results]),
        ("duplicates, at_least_once, unmarked", "0", [str(len(one.findings.unmarked)) for one in results]),
        ("kills (-9)", "", [str(one.kills) for one in results]),
        (
            "recovery, worst",
            "<= lease + 5 s",
            [f"{one.recovery_s:.1f} s of {one.recovery_limit_s:g} s" for one in results],
        ),
        ("memory of a process, most", "", [f"{one.peak_mib:.0f} MiB" for one in results]),
        ("growth, second half of the longest life", "", [f"{one.growth_mib:+.1f} MiB" for one in results]),
        ("clock change lived through", "yes", ["yes" if one.crossed else "no" for one in results]),
        ("duration", "", [f"{one.seconds:.0f} s" for one in results]),
    ]


def show(console: Console, results: Sequence[Result]) -> None:
    """Print the tables, and what is wrong."""
    table = Table("", "required", *(one.mode for one in results), title="What was promised, and what happened")
    for what, required, values in rows(results):
        table.add_row(what, required, *values)
    console.print(table)
    for one in results:
        console.print(f"{one.mode}: " + ", ".join(f"{what} {count}" for what, count in sorted(one.done.items())))
        console.print(f"{one.mode}: answers to the client: {one.answers}")
        for line in () if one.good else one.story:
            console.print(f"{one.mode}: {line}", markup=False)
        for name in ("lost", "stuck", "twice", "unmarked"):
            for line in getattr(one.findings, name)[:SHOWN]:
                console.print(f"{one.mode}: {name}: {line}", markup=False)


def markdown(results: Sequence[Result], *, command: str) -> str:
    """Return the tables for docs/reliability.md."""
    head = ["", "required", *(one.mode for one in results)]
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    lines = [
        f"Printed by `{command}` on {now():%Y-%m-%d}; {machine}.",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {what} | {required} | {' | '.join(values)} |" for what, required, values in rows(results)),
        "",
    ]
    done = sorted({what for one in results for what in one.done})
    lines += [
        f"| what was done | {' | '.join(one.mode for one in results)} |",
        f"|---|{'---|' * len(results)}",
        *(f"| {what} | {' | '.join(str(one.done.get(what, '')) for one in results)} |" for what in done),
    ]
    return "\n".join(lines)
