"""What an operator can say: start processes, make keys, publish texts. Each verb opens the Runtime and calls one verb.

In the embedded mode everything but `up` acts through the tables, so it works while the gateway runs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table

from channels.kit.contract import Installs
from channels.kit.errors import ChannelError
from gateway import bootstrap, processes, telemetry
from gateway.demo.run import demo as run_demo
from gateway.demo.stage import StageFailed
from gateway.domain.content import TemplateInvalid
from gateway.domain.errors import CallerError
from gateway.render.catalogue import read_folder
from gateway.settings import Settings, SettingsInvalid, load
from gateway.store.engine import StoreAway
from gateway.store.keyring import VaultError
from gateway.store.migrate import migrate as run_migrations
from gateway.usecases import access, templates
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import SCOPES

T = TypeVar("T")
out = Console()
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Botengang: a multichannel notification gateway.",
)
keys = typer.Typer(no_args_is_help=True, help="Keys of backend services, and the key ring.")
texts = typer.Typer(no_args_is_help=True, help="Message templates: files to drafts, drafts to approved versions.")
accounts = typer.Typer(no_args_is_help=True, help="The configured accounts.")
app.add_typer(keys, name="keys")
app.add_typer(texts, name="templates")
app.add_typer(accounts, name="accounts")


def catalogue() -> Path:
    """Return the folder of message templates: the checkout's, or the copy inside the installed package."""
    here = Path(__file__).resolve().parent
    checkout = here.parent / "templates"
    return checkout if checkout.is_dir() else here / "catalogue"


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; what an operator can mend ends in one line each and exit status 2."""
    try:
        return asyncio.run(work)
    except SettingsInvalid as exc:
        lines = exc.lines
    except StoreAway as exc:
        lines = [f"{exc}; look at GATEWAY_DATABASE_URL, and whether the database runs"]
    except VaultError as exc:
        lines = [f"the key ring does not fit: {exc}"]
    except (processes.PortTaken, bootstrap.AlreadyRunning, TemplateInvalid, StageFailed) as exc:
        lines = str(exc).splitlines()
    except ChannelError as exc:
        lines = [f"the provider refused: {exc}"]
    except CallerError as exc:
        lines = [exc.detail, *(f"  {fault.pointer}: {fault.detail}" for fault in exc.faults)]
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - what a command says to its operator
    raise typer.Exit(2)


def _settings() -> Settings:
    try:
        settings = load()
    except SettingsInvalid as exc:
        for line in exc.lines:
            print(line, file=sys.stderr)  # noqa: T201 - what a command says to its operator
        raise typer.Exit(2) from None
    telemetry.configure(settings.log_level, json=settings.log_json)
    return settings


def _with(verb: Callable[[Runtime], Awaitable[T]], settings: Settings | None = None) -> T:
    """Open a Runtime on the migrated store, call one verb, close."""

    async def work(chosen: Settings) -> T:
        async with bootstrap.open(chosen) as rt:
            await run_migrations(rt.db)
            return await verb(rt)

    return _run(work(settings or _settings()))


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


@accounts.command("install")
def accounts_install(name: str) -> None:
    """Tell an account's provider where to call us (GATEWAY_PUBLIC_URL); may be repeated."""

    async def install(rt: Runtime) -> bool:
        account = rt.accounts.get(name)
        if account is None or not isinstance(account.adapter, Installs):
            return False
        await account.adapter.install(rt.callback_url(name))
        return True

    if not _with(install):
        print(f"There is nothing to install for an account '{name}'.", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2)
    out.print(f"{name}: installed.")


def main() -> None:
    """Run the command line."""
    app()
