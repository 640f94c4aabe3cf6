"""What an operator can say of accounts: show them, pause and resume them, tell a provider where to call us.

Acts through the tables, so it works while the gateway runs.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.commands.running import with_runtime
from gateway.usecases import accounts

out = Console()
app = typer.Typer(no_args_is_help=True, help="The configured accounts.")
Actor = Annotated[str, typer.Option("--as", help="Who says so, for the audit log.")]


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Show how each account is: its circuit, its pause, the part of its weight that holds, the day's limits."""
    found = with_runtime(accounts.status)
    if as_json:
        print(json.dumps(found, default=str))  # noqa: T201 - the answer, for a program
        return
    table = Table("account", "channel", "state", "since", "next try", "weight", "used of 24 h")
    for one in found:
        table.add_row(
            one["name"], one["channel"], _state(one), _at(one["since"]), _at(one["probe_at"]),
            f"{one['weight']}, {one['share']} %", _windows(one["windows"]),
        )  # fmt: skip
    out.print(table)


def _state(one: Mapping[str, Any]) -> str:
    if not one["released"]:
        return "not released"
    if one["paused"]:
        return f"paused by {one['paused']}"
    names = {"closed": "sends", "open": f"rests: {one['code']}", "half_open": f"tries one: {one['code']}"}
    return names[one["circuit"]]


def _at(moment: Any) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _windows(windows: Any) -> str:
    return ", ".join(f"{one['kind']} {one['used']} of {one['limit']}" for one in windows)


@app.command()
def pause(name: str, actor: Actor = "") -> None:
    """Keep an account's messages from now on; running processes follow within a second."""
    with_runtime(lambda rt: accounts.pause(rt, name, actor=_actor(actor)))
    out.print(
        f"{name}: paused. Its messages are kept until they expire; `botengang accounts resume {name}` lets them go."
    )


@app.command()
def resume(name: str, actor: Actor = "") -> None:
    """Let an account's messages go again; after trouble a single one goes first."""
    due = with_runtime(lambda rt: accounts.resume(rt, name, actor=_actor(actor)))
    out.print(f"{name}: resumed. {due} waiting messages are due now.")


@app.command()
def install(name: str) -> None:
    """Tell an account's provider where to call us (GATEWAY_PUBLIC_URL); may be repeated."""
    with_runtime(lambda rt: accounts.install(rt, name))
    out.print(f"{name}: installed.")


def _actor(named: str) -> str:
    try:
        return f"operator:{named or getpass.getuser()}"
    except (KeyError, OSError):  # a container's number without a name
        return "operator"
