"""What an operator can say in an emergency: stop a text, and decide about what waits on it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.commands.running import complain, with_runtime
from gateway.domain.reasons import explain
from gateway.usecases import holds

out = Console()
Name = Annotated[str, typer.Argument(metavar="KEY[/NUMBER]", help="A template's key, or one version of it.")]
Who = Annotated[str, typer.Option("--as", help="Your name, for the audit.")]


def withdraw(
    name: Name,
    who: Who,
    reason: Annotated[str, typer.Option(help="Why, for the audit; no personal data.")],
    every: Annotated[
        bool, typer.Option("--all-versions", help="Every version of the key, not the approved one.")
    ] = False,
) -> None:
    """Stop a text before the next provider call: the approved version of KEY, or KEY/NUMBER; what waits is held."""
    done = with_runtime(lambda rt: holds.withdraw(rt, name, actor=f"staff:{who}", reason=reason, every=every))
    out.print(f"{', '.join(done.versions)} withdrawn; {done.held} deliveries are held.")
    for version, count in sorted(done.others.items()):
        complain(f"{count} deliveries wait on {version}, which still goes out. Withdraw it too: --all-versions.")


def held() -> None:
    """Show what is held: by version, how many, since when, and when the first of them expires."""
    table = Table("version", "state", "held", "since", "first expires")
    for one in with_runtime(holds.held):
        ends = "" if one["first_expires_at"] is None else f"{one['first_expires_at']:%Y-%m-%d %H:%M}"
        since = f"{one['since']:%Y-%m-%d %H:%M}"
        table.add_row(f"{one['key']}/{one['number']}", one["state"], str(one["count"]), since, ends)
    out.print(table)


def release(
    name: Name,
    who: Who,
    to: Annotated[str, typer.Option(metavar="NUMBER|latest", help="The version that they go out with.")] = "latest",
) -> None:
    """Let held deliveries go on with another version: same variables and purpose, no more confidential."""
    done = with_runtime(lambda rt: holds.release(rt, name, to=to, actor=f"staff:{who}"))
    out.print(f"{done.count} deliveries go on.")
    for code, count in sorted(done.refused.items()):
        complain(f"{count} stay held, {code}: {explain(code)}")


def cancel_held(name: Name, who: Who) -> None:
    """Cancel the messages that are held on KEY or KEY/NUMBER."""
    done = with_runtime(lambda rt: holds.cancel(rt, name, actor=f"staff:{who}"))
    out.print(f"{done.count} held deliveries cancelled.")


def register(texts: typer.Typer) -> None:
    """Add these verbs to those of the templates."""
    texts.command("withdraw")(withdraw)
    texts.command("held")(held)
    texts.command("release")(release)
    texts.command("cancel-held")(cancel_held)
