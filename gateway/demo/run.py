"""Run the demonstration: stage, people, one notification each over the public API, and the account of it all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from channels.kit.contract import Installs
from gateway import bootstrap, processes, telemetry
from gateway.demo import people as inventing
from gateway.demo import stage
from gateway.demo.report import Board, Result, summary
from gateway.domain.content import Content
from gateway.egress import Http
from gateway.render.catalogue import read_folder
from gateway.settings import SettingsInvalid
from gateway.store import tallies
from gateway.store.migrate import migrate
from gateway.usecases import access, templates
from gateway.usecases.runtime import Runtime
from gateway.usecases.tally import Tally, tally
from workers.main import working

CLIENT = "demo"
FOLDER = Path("var/demo")
AT_ONCE = 16  # requests in flight, like a small backend service
PATIENCE_S = 90.0
INTERRUPTED = 130  # the exit status that shells give for Ctrl-C


async def demo(catalogue: Path, *, once: bool, as_json: bool, people: int) -> int:
    """Run it; return the exit status: 0 only if every notification is accounted for and nothing came twice."""
    console = Console(stderr=as_json)
    telemetry.configure("WARNING")
    contents = read_folder(catalogue)
    with stage.clean_folder(FOLDER) as folder, processes.stop_signal() as stop:
        if folder != FOLDER:
            console.print(f"Another demonstration runs in {FOLDER}; using {folder} instead.")
        async with _opened(console, contents, folder) as (rt, http, sandbox):
            console.print(f"Telling {people:,} invented people one thing each ...")
            errand = asyncio.create_task(_errand(rt, http, console, contents, sandbox=sandbox, count=people))
            if not await _first(errand, stop):
                console.print("Stopped before everything had ended.")
                return INTERRUPTED
            result = errand.result()
            summary(console, result, {} if once else await _addresses(rt, sandbox))
            if as_json:
                print(result.json(), flush=True)  # noqa: T201 - the answer for programs
            if not once:
                console.print("It keeps running; Ctrl-C ends it.")
                await stop.wait()
            return 0 if result.good else 1


@contextlib.asynccontextmanager
async def _opened(
    console: Console, contents: Mapping[str, Content], folder: Path
) -> AsyncIterator[tuple[Runtime, Http, str]]:
    """Lend the whole house, working and serving: the Runtime, a client of its API, and the stand-ins' address."""
    sock, listen = _free_port(console)
    console.print("Starting the gateway and the local stand-ins for the providers ...")
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(contextlib.closing(sock))
        ready = await stack.enter_async_context(stage.sandbox(folder / "sandbox"))
        settings = stage.settings_for(ready, contents, listen, folder)
        bootstrap.make_ring(settings.keyring)
        rt = await stack.enter_async_context(bootstrap.open(settings))
        await _empty(rt)
        await migrate(rt.db)
        await _publish(rt, contents)
        await stack.enter_async_context(processes.serving(rt, sock))
        await stack.enter_async_context(working(rt, concurrency=settings.concurrency, sweep_s=settings.sweep_s))
        http = Http()
        stack.push_async_callback(http.close)
        await stage.introduce(http, ready["http"], contents, settings.public_url)
        await _install(rt)
        yield rt, http, ready["http"]


async def _first(errand: asyncio.Task[Result], stop: asyncio.Event) -> bool:
    """Wait for the errand; False if somebody asked to stop before it ended."""
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait({errand, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if errand.done():
        return True
    errand.cancel()
    await asyncio.wait({errand})
    return False


async def _addresses(rt: Runtime, sandbox: str) -> dict[str, str]:
    """Return where to look next, with a key to post with."""
    return {
        "phones": sandbox,
        "API": f"{rt.policy.public_url}/docs",
        "key for this run": await access.create_key(rt, CLIENT),
        "key that sends nothing (docs/test-keys.md)": await access.create_key(rt, CLIENT, test=True),
    }


def _free_port(console: Console) -> tuple[Any, str]:
    """Return a listening socket: the usual port, or another one if somebody has it."""
    try:
        return processes.bind("127.0.0.1:8080"), "127.0.0.1:8080"
    except processes.PortTaken:
        sock = processes.bind("127.0.0.1:0")
        listen = f"127.0.0.1:{sock.getsockname()[1]}"
        console.print(f"Port 8080 is taken by another program; using {listen} instead.")
        return sock, listen


async def _empty(rt: Runtime) -> None:
    """Start from a clean state; a database that is not the demonstration's is left alone. Raises SettingsInvalid."""
    async with rt.db.write() as conn:
        if await tallies.is_empty(conn):
            return
        if not await tallies.client_names(conn) <= {CLIENT}:
            line = "GATEWAY_DATABASE_URL: this database is in use by others; give the demonstration one of its own"
            raise SettingsInvalid([line])
        await tallies.empty(conn)


async def _publish(rt: Runtime, contents: Mapping[str, Content]) -> None:
    await templates.push(rt, list(contents.values()), author="catalogue")
    for key in await templates.drafts(rt):
        await templates.approve(rt, key, approver="demo")


async def _install(rt: Runtime) -> None:
    for name, account in rt.accounts.items():
        if isinstance(account.adapter, Installs):
            await account.adapter.install(rt.callback_url(name))


async def _errand(
    rt: Runtime, http: Http, console: Console, contents: Mapping[str, Content], *, sandbox: str, count: int
) -> Result:
    """Do what a backend service does: put the recipients, post the notifications, watch until all have ended."""
    invented = inventing.invent(count, run="p")
    await stage.post(http, f"{sandbox}/control/rules", inventing.dead_rules(invented))
    phones = [{"name": one.name, "addresses": one.addresses, "language": one.body["language"]} for one in invented]
    await stage.post(http, f"{sandbox}/control/people", phones)
    key = await access.create_key(rt, CLIENT)
    api = rt.policy.public_url
    await stage.post(http, f"{api}/v1/recipients:batch", [one.body for one in invented], key=key)
    requests = inventing.tell(invented, contents)
    began = time.monotonic()
    with Board(console, count) as board:
        posting = asyncio.create_task(_post_all(http, api, key, requests))
        watching = asyncio.create_task(_watch(rt, board, count, began))
        try:
            await posting
            last = await watching
        finally:
            posting.cancel()
            watching.cancel()
    seconds = time.monotonic() - began
    seen = json.loads((await http.request("GET", f"{sandbox}/control/summary")).body)
    unrecorded = sum(abs(seen.get(name, {}).get("accepted", 0) - taken) for name, taken in last.taken.items())
    duplicates = sum(row.get("accepted", 0) - row.get("recipients", 0) for row in seen.values())
    return Result(posted=count, tally=last, duplicates=duplicates, unrecorded=unrecorded, seconds=seconds)


async def _post_all(http: Http, api: str, key: str, requests: Sequence[Mapping[str, Any]]) -> None:
    waiting = iter(requests)

    async def service() -> None:
        for one in waiting:
            ident = {"idempotency_key": one["reference"]}
            await stage.post(http, f"{api}/v1/notifications", one, key=key, **ident)

    await asyncio.gather(*(service() for _ in range(AT_ONCE)))


async def _watch(rt: Runtime, board: Board, count: int, began: float) -> Tally:
    """Draw the board until every notification has ended, or patience has."""
    while True:
        now = await tally(rt, CLIENT, skips_too=False)
        seconds = time.monotonic() - began
        board.show(now, seconds)
        if (now.accepted >= count and now.open == 0) or seconds > PATIENCE_S:
            return await tally(rt, CLIENT)
        await asyncio.sleep(0.25)
