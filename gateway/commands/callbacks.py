"""What an operator can say about callbacks: list the endpoints, and have events posted to one again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.commands.running import MISUSED, complain, with_runtime
from gateway.usecases import callbacks as verbs

callbacks = typer.Typer(no_args_is_help=True, help="Where clients are called back.")
out = Console()


@callbacks.command("list")
def listing() -> None:
    """List every client's endpoints with what waits for them and what was given up."""
    table = Table("id", "client", "url", "types", "waiting", "given up", "state")
    for one in with_runtime(verbs.overview):
        state = "disabled" if one["disabled_at"] else "enabled"
        counts = (str(one["waiting"]), str(one["given_up"]))
        table.add_row(one["id"], one["client"] or one["client_id"], one["url"], str(len(one["types"])), *counts, state)
    out.print(table)


@callbacks.command("replay")
def replay(
    endpoint: Annotated[str, typer.Argument(help="The endpoint's id.")],
    after: Annotated[int | None, typer.Option(min=0, help="Events with a number above this.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Events from this time (UTC) on.")] = None,
) -> None:
    """Post events of the last 30 days to an endpoint again, from a number or a time on."""
    if (after is None) == (since is None):
        complain("Give --after or --since, one of both.")
        raise typer.Exit(MISUSED)
    moment = None if since is None else since.replace(tzinfo=UTC)
    queued = with_runtime(lambda rt: verbs.replay(rt, None, endpoint, after=after, since=moment))
    out.print(f"{queued} events are posted again.")
