"""`botengang doctor`: examine the installation and say what to do; exit status 1 where something is bad."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway import bootstrap, telemetry
from gateway.settings import Settings, SettingsInvalid, load
from gateway.usecases import doctor as examining
from gateway.usecases.findings import Finding, Level, bad

COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.BAD: "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    nameserver: Annotated[list[str] | None, typer.Option(help="Ask this one (host or host:port) about DNS.")] = None,
) -> None:
    """Examine database, key ring, Redis, accounts, DNS, texts and what is stuck; changes nothing, sends nothing."""
    try:
        settings = load()
    except SettingsInvalid as exc:
        findings = [bad("settings", line, "mend it: nothing starts before") for line in exc.lines]
    else:
        telemetry.configure("ERROR", json=settings.log_json)
        findings = asyncio.run(_examined(settings, nameserver or ()))
    worst = max(findings, key=lambda one: list(Level).index(one.level), default=None)
    if as_json:
        print(json.dumps(_document(findings), ensure_ascii=False))  # noqa: T201 - the answer
    else:
        Console().print(_table(findings), soft_wrap=False)
    raise typer.Exit(int(worst is not None and worst.level is Level.BAD))


async def _examined(settings: Settings, nameservers: Sequence[str]) -> list[Finding]:
    async with bootstrap.open_parts(settings, nameservers=nameservers) as parts:
        return await examining.examine(parts)


def _document(findings: Sequence[Finding]) -> dict[str, object]:
    rows = [{"area": one.area, "level": one.level.value, "told": one.told, "do": one.do} for one in findings]
    return {"ok": all(one.level is not Level.BAD for one in findings), "findings": rows}


def _table(findings: Sequence[Finding]) -> Table:
    table = Table("", "area", "what", "what to do", box=None, pad_edge=False)
    for one in findings:
        table.add_row(f"[{COLOURS[one.level]}]{one.level.value}[/]", one.area, _plain(one.told), _plain(one.do))
    return table


def _plain(text: str) -> str:
    """Keep square brackets of a text from being read as colours."""
    return text.replace("[", r"\[")
