"""What an operator can say about retention: purge now, or see what a purge would delete."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.commands.running import with_runtime
from gateway.usecases import retention

out = Console()


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; delete nothing.")] = False,
) -> None:
    """Delete what has outlived its retention period, in small batches; workers do it every night by themselves."""
    rows = with_runtime(lambda rt: retention.purge(rt, dry_run=dry_run, actor="cli"))
    table = Table("what", "would be deleted" if dry_run else "deleted")
    for kind, count in rows.items():
        table.add_row(kind, str(count))
    out.print(table)
