"""Run one mode or both, side by side, and tell; the exit status is 0 only if every promise was kept."""

from __future__ import annotations

import asyncio

from rich.console import Console

from benchmarks.chaos import report
from benchmarks.chaos.programs import ChaosFailed, starter
from benchmarks.chaos.running import run
from benchmarks.chaos.scale import BOTH, FULL, MODES, QUICK, Scale
from gateway import telemetry

FAILED = 3  # the run itself could not be carried out


def main(*, mode: str, seed: int, quick: bool, as_json: bool, as_markdown: bool) -> int:
    """Run, print, return the exit status."""
    telemetry.configure("ERROR")
    console = Console(stderr=as_json or as_markdown)
    modes = MODES if mode == BOTH else (mode,)
    try:
        results = asyncio.run(_all(modes, QUICK if quick else FULL, seed, console))
    except ExceptionGroup as group:
        ours, others = group.split(ChaosFailed)
        if others is not None:
            raise
        console.print(f"The run could not be carried out: {_first(ours)}", markup=False)
        return FAILED
    report.show(console, results)
    if as_markdown:
        words = ["botengang bench chaos", *(["--quick"] if quick else []), f"--mode {mode}", f"--seed {seed}"]
        print(report.markdown(results, command=" ".join(words)))
    if as_json:
        print(report.as_json(results), flush=True)
    return 0 if all(one.good for one in results) else 1


def _first(failed: BaseException | None) -> BaseException | None:
    """Return the innermost first failure of a group."""
    return _first(failed.exceptions[0]) if isinstance(failed, BaseExceptionGroup) else failed


async def _all(modes: tuple[str, ...], scale: Scale, seed: int, console: Console) -> list[report.Result]:
    """Run the modes at the same time: they share nothing but the machine."""
    console.print(
        f"Breaking {' and '.join(modes)}: {scale.messages:,} messages each, lease {scale.lease_s:g} s, seed {seed} ..."
    )
    async with starter(warm=scale.warm) as start, asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(one, scale, start, seed=seed)) for one in modes]
    return [task.result() for task in tasks]
