"""What an operator can say: start processes, make keys, publish texts. Each verb opens the Runtime and calls one verb.

In the embedded mode everything but `up` acts through the tables, so it works while the gateway runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from gateway import bootstrap, processes
from gateway.commands import accounts, bench, holds
from gateway.commands.callbacks import callbacks
from gateway.commands.deadletters import deadletters
from gateway.commands.doctor import doctor
from gateway.commands.purge import purge
from gateway.commands.rotation import outstanding, rotate
from gateway.commands.running import configured as _settings
from gateway.commands.running import run as _run
from gateway.commands.running import with_runtime as _with
from gateway.demo.run import demo as run_demo
from gateway.domain.content import TemplateInvalid
from gateway.render.catalogue import read_folder
from gateway.usecases import access, templates
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import SCOPES

out = Console()
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Botengang: a multichannel notification gateway.",
)
keys = typer.Typer(no_args_is_help=True, help="Keys of backend services, and the key ring.")
texts = typer.Typer(no_args_is_help=True, help="Message templates: files to drafts, drafts to approved versions.")
app.add_typer(keys, name="keys")
app.add_typer(texts, name="templates")
app.add_typer(accounts.app, name="accounts")
app.add_typer(bench.app, name="bench")
app.command()(doctor)
keys.command()(rotate)
keys.command()(outstanding)
app.add_typer(callbacks, name="callbacks")
app.add_typer(deadletters, name="deadletters")
app.command()(purge)
holds.register(texts)


def catalogue() -> Path:
    """Return the folder of message templates: the checkout's, or the copy inside the installed package."""
    here = Path(__file__).resolve().parent
    checkout = here.parent / "templates"
    return checkout if checkout.is_dir() else here / "catalogue"


@app.command()
def up() -> None:
    """Run everything in one process, on the embedded default or on the servers that the settings name."""
    _run(processes.up(_settings()))


@app.command()
def serve() -> None:
    """Run the HTTP side (scaled mode)."""
    _run(processes.serve(_settings()))


@app.command()
def work() -> None:
    """Run a worker (scaled mode)."""
    _run(processes.work(_settings()))


@app.command()
def bounces() -> None:
    """Take bounces from your mail relay over LMTP (scaled mode; `up` does it by itself)."""
    _run(processes.bounces(_settings()))


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date; an empty database also gets its key ring, if there is none."""
    made = _run(bootstrap.prepare(_settings()))
    out.print("The schema is up to date." + (f" Made the key ring {made}: keep a copy of it apart." if made else ""))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit when every notification is accounted for.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End standard output with one JSON object.")] = False,
    people: Annotated[int, typer.Option(min=1, max=20_000, help="How many recipients.")] = 1300,
) -> None:
    """Show the whole errand on this machine: 1,300 people, four channels, local stand-ins for the providers."""
    raise typer.Exit(_run(run_demo(catalogue(), once=once, as_json=as_json, people=people)))


@keys.command("create")
def keys_create(
    client: Annotated[str, typer.Option(help="The backend service; a new name makes a new client.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(SCOPES),
    test: Annotated[bool, typer.Option("--test", help="A key that sends nothing: provider calls are played.")] = False,
) -> None:
    """Make a key and show it, this once."""
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    key = _with(lambda rt: access.create_key(rt, client, scopes=wanted, test=test))
    print(key)  # noqa: T201 - the answer, fit for a shell variable


@keys.command("ring")
def keys_ring() -> None:
    """Make the key ring that everything personal is sealed with; keep a copy of it apart from the database's backup."""
    settings = _settings()
    if settings.keyring.exists():
        print(f"There is a key ring at {settings.keyring} already; it stays.", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    bootstrap.make_ring(settings.keyring)
    out.print(f"Made {settings.keyring}. Without it nothing personal in the database can be read: keep a copy apart.")


@texts.command("push")
def templates_push(
    folder: Annotated[Path | None, typer.Option("--from", help="Folder of <key>.toml files.")] = None,
    author: Annotated[str, typer.Option(help="Who wrote them.")] = "files",
) -> None:
    """Make drafts of the files that differ from the newest version; nothing is sent from a draft."""
    try:
        contents = read_folder(folder or catalogue())
    except TemplateInvalid as exc:
        print(exc, file=sys.stderr)  # noqa: T201 - what a command says to its operator
        raise typer.Exit(2) from None
    for one in _with(lambda rt: templates.push(rt, list(contents.values()), author=author)):
        out.print(f"{one['key']}: version {one['number']} {one['state']}")


@texts.command("list")
def templates_list() -> None:
    """List the approved templates."""
    table = Table(Column("key", no_wrap=True), "version", "class", "purpose", "channels", "languages")
    for one in _with(templates.published):
        table.add_row(
            one["key"],
            str(one["version"]),
            one["class"],
            one["purpose"],
            " ".join(one["channels"]),
            " ".join(one["languages"]),
        )
    out.print(table)


@texts.command("approve")
def templates_approve(
    approver: Annotated[str, typer.Option("--as", help="Who approves: not the author.")],
    key: Annotated[list[str] | None, typer.Argument(help="Keys; none: every draft.")] = None,
) -> None:
    """Approve the newest drafts; the checks must pass, and nobody approves what they wrote."""

    async def approve(rt: Runtime) -> list[Any]:
        return [await templates.approve(rt, one, approver=approver) for one in key or await templates.drafts(rt)]

    for one in _with(approve):
        out.print(f"{one['key']}: version {one['number']} approved")


def main() -> None:
    """Run the command line."""
    app()
