"""Show the run: a live board while it works, a table with reasons at the end, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.domain.reasons import explain
from gateway.usecases.tally import COLUMNS, Tally

ENDED = ("delivered", "submitted", "failed", "skipped", "expired", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run came to. ``duplicates``: messages that a phone got more often than it should."""

    posted: int
    tally: Tally
    duplicates: int
    unrecorded: int  # messages that the stand-ins took and our tables do not know, or the other way round
    seconds: float
    phones_url: str = field(default="")

    @property
    def lost(self) -> int:
        """Count notifications that are nowhere: not ended, not accepted, or not as the stand-ins saw it."""
        ended = sum(self.tally.outcomes.get(name, 0) for name in ENDED)
        return max(self.posted - ended, 0) + self.tally.open + self.unrecorded

    @property
    def good(self) -> bool:
        """Tell whether accepted = delivered + submitted without receipt + failed + skipped, and nothing came twice."""
        return self.lost == 0 and self.duplicates == 0 and self.tally.accepted == self.posted

    def json(self) -> str:
        """Return the run as one line."""
        channels = {
            name: {column: row.get(column, 0) for column in COLUMNS}
            for name, row in sorted(self.tally.channels.items())
        }
        return json.dumps(
            {
                "posted": self.posted,
                "lost": self.lost,
                "duplicates": self.duplicates,
                "seconds": round(self.seconds, 2),
                "channels": channels,
                "reasons": dict(self.tally.reasons),
            }
        )


class Board:
    """The live display; on a screen that is none it stays silent until the summary."""

    def __init__(self, console: Console, total: int) -> None:
        """Draw on ``console``; ``total``: notifications that will be posted."""
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._posted = self._progress.add_task("accepted", total=total)
        self._ended = self._progress.add_task("ended", total=total)
        self._live = Live(self._progress, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, tally: Tally, seconds: float) -> None:
        """Draw one moment."""
        ended = sum(tally.outcomes.get(name, 0) for name in ENDED)
        self._progress.update(self._posted, completed=tally.accepted)
        self._progress.update(self._ended, completed=ended)
        rate = sum(tally.taken.values()) / seconds if seconds > 0 else 0.0
        self._live.update(Group(self._progress, channel_table(tally, title=f"{rate:,.0f} messages/s")))


def channel_table(tally: Tally, *, title: str = "") -> Table:
    """Return the counts by channel."""
    table = Table("channel", *COLUMNS, "waiting", title=title or None, title_justify="left")
    for name, row in sorted(tally.channels.items()):
        table.add_row(name, *(f"{row.get(column, 0):,}" for column in COLUMNS), f"{row.get('open', 0):,}")
    return table


def summary(console: Console, result: Result, addresses: Mapping[str, Any]) -> None:
    """Print the account of the run and where to look next."""
    tally = result.tally
    console.print(channel_table(tally, title="Deliveries by channel"))
    if any(row.get("open", 0) for row in tally.channels.values()):
        console.print("waiting: fall-backs behind a message that the provider may still report as failed.")
    reasons = Table(
        "reason", "count", "what it means", title="Why a channel was left out or failed", title_justify="left"
    )
    for code, count in tally.reasons.items():
        reasons.add_row(code, f"{count:,}", explain(code, "en"))
    console.print(reasons)
    outcomes = ", ".join(f"{tally.outcomes[name]:,} {name}" for name in ENDED if tally.outcomes.get(name))
    verdict = "[green]every one accounted for[/]" if result.good else "[red]not every one is accounted for[/]"
    console.print(
        f"{result.posted:,} posted: {outcomes}; {result.lost} lost, {result.duplicates} duplicates, "
        f"{result.seconds:.1f} s — {verdict}"
    )
    for name, address in addresses.items():
        console.print(f"  {name}: {address}", soft_wrap=True)  # what is to be copied stays on one line
