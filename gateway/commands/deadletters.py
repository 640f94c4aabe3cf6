"""What an operator can say about dead letters: look at them, send them once more, or close them; over all clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.commands.running import MISUSED, complain, with_runtime
from gateway.domain.deadletters import Wanted
from gateway.domain.reasons import codes_of, explain
from gateway.usecases import deadletters as verbs
from gateway.usecases.deadletters import Decided
from gateway.usecases.runtime import Runtime

deadletters = typer.Typer(no_args_is_help=True, help="Messages that no channel has taken.")
out = Console()
Code = Annotated[str | None, typer.Option(help="Why they failed.")]
Class = Annotated[str | None, typer.Option("--class", help="The class of error they failed with.")]
AccountName = Annotated[str | None, typer.Option(help="The account they were to go out on.")]
Channel = Annotated[str | None, typer.Option(help="The channel.")]
Template = Annotated[str | None, typer.Option(help="The template's key.")]
Client = Annotated[str | None, typer.Option(help="The client's name.")]
Since = Annotated[datetime | None, typer.Option(help="Failed at this time (UTC) or later.")]
Until = Annotated[datetime | None, typer.Option(help="Failed before this time (UTC).")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters, instead of a filter.")]
Everything = Annotated[bool, typer.Option("--all", help="Really all that the filter fits, be it empty.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be done.")]
Who = Annotated[str, typer.Option("--as", help="Your name, for the audit.")]


@dataclass(frozen=True, slots=True)
class _Filter:
    """The filter as it was typed."""

    client: str | None
    fields: dict[str, Any]

    async def wanted(self, rt: Runtime) -> Wanted:
        """Return it with the client's id."""
        return await verbs.wanted_of(rt, self.client, **self.fields)


def _filter(
    *,
    code: str | None,
    klass: str | None,
    account: str | None,
    channel: str | None,
    template: str | None,
    client: str | None,
    since: datetime | None,
    until: datetime | None,
    ids: list[str] | None = None,
) -> _Filter:
    codes = codes_of(klass) if klass else None
    if code:
        codes = frozenset({code}) if codes is None else codes & {code}
    moments = {name: at and at.replace(tzinfo=UTC) for name, at in (("since", since), ("until", until))}
    plain = {"account": account, "channel": channel, "template": template, "codes": codes}
    return _Filter(client, plain | moments | {"ids": tuple(ids) if ids else None})


@deadletters.command("list")
def listing(
    *,
    code: Code = None,
    klass: Class = None,
    account: AccountName = None,
    channel: Channel = None,
    template: Template = None,
    client: Client = None,
    since: Since = None,
    until: Until = None,
    after: Annotated[str | None, typer.Option(help="Go on behind this id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List dead letters, the newest first, with counts by account and code and what each code means."""
    chosen = _filter(
        code=code, klass=klass, account=account, channel=channel, template=template, client=client, since=since,
        until=until,
    )  # fmt: skip

    async def look(rt: Runtime) -> tuple[list[Any], str | None, dict[tuple[str, str], int]]:
        wanted = await chosen.wanted(rt)
        page, following = await verbs.listing(rt, wanted, after=after, limit=limit)
        return page, following, {} if as_json else await verbs.summary(rt, wanted)

    page, following, counts = with_runtime(look)
    if as_json:
        for one in page:
            print(json.dumps(one, default=str))  # noqa: T201 - the answer, fit for a pipe
        return
    _show(page, counts)
    if following:
        out.print(f"More: --after {following}")


def _show(page: list[Any], counts: dict[tuple[str, str], int]) -> None:
    names = ("id", "client", "template", "channel", "account", "code", "requeue")
    table = Table(*names, "failed at")
    for one in page:
        table.add_row(*(str(one[name]) for name in names), f"{one['failed_at']:%Y-%m-%d %H:%M}")
    out.print(table)
    totals = Table("account", "code", "count", "what it means")
    for (account, code), count in sorted(counts.items(), key=lambda one: -one[1]):
        totals.add_row(account, code, str(count), explain(code))
    out.print(totals)


@deadletters.command("requeue")
def requeue(
    *,
    who: Who,
    ids: Ids = None,
    code: Code = None,
    klass: Class = None,
    account: AccountName = None,
    channel: Channel = None,
    template: Template = None,
    client: Client = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    twice: Annotated[
        bool,
        typer.Option(
            "--even-if-it-may-be-twice",
            help="Also those that may have arrived already although their template allows no second message.",
        ),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Send dead letters once more; expired ones are refused, and consent is read again before anything goes out."""
    chosen = _filter(
        code=code, klass=klass, account=account, channel=channel, template=template, client=client, since=since,
        until=until, ids=ids,
    )  # fmt: skip
    _require(chosen, everything=everything or dry_run)

    async def act(rt: Runtime) -> Decided:
        wanted = await chosen.wanted(rt)
        return await verbs.requeue(rt, wanted, actor=f"staff:{who}", twice=twice, dry_run=dry_run)

    _tell(with_runtime(act), "would be sent" if dry_run else "are sent")


@deadletters.command("cancel")
def cancel(
    *,
    who: Who,
    ids: Ids = None,
    code: Code = None,
    klass: Class = None,
    account: AccountName = None,
    channel: Channel = None,
    template: Template = None,
    client: Client = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    dry_run: DryRun = False,
) -> None:
    """Close dead letters: they stay failed, and are never sent or listed here again."""
    chosen = _filter(
        code=code, klass=klass, account=account, channel=channel, template=template, client=client, since=since,
        until=until, ids=ids,
    )  # fmt: skip
    _require(chosen, everything=everything or dry_run)

    async def act(rt: Runtime) -> Decided:
        return await verbs.close(rt, await chosen.wanted(rt), actor=f"staff:{who}", dry_run=dry_run)

    _tell(with_runtime(act), "would be closed" if dry_run else "are closed")


def _require(chosen: _Filter, *, everything: bool) -> None:
    """End the command when a filter could reach further than somebody meant."""
    if chosen.fields["ids"] is None and not everything:
        complain("Give ids, or --all with a filter. See what it means first: --dry-run.")
        raise typer.Exit(MISUSED)


def _tell(done: Decided, what: str) -> None:
    out.print(f"{done.deliveries} deliveries of {done.notifications} notifications {what}.")
    for code, ids in sorted(done.refused.items()):
        out.print(f"{len(ids)} refused, {code}: {explain(code)} / {explain(code, 'en')}")
