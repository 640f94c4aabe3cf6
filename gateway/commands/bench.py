"""`botengang bench`: measure and break this program; the programs that do it are in a checkout, not in the package."""

from __future__ import annotations

import importlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.commands.running import MISUSED, complain
from gateway.settings import forget_environment

app = typer.Typer(no_args_is_help=True, help="Measure and break this program (needs a checkout).")
ROOT = Path(__file__).resolve().parents[2]


class Mode(StrEnum):
    """Which way of running is broken."""

    EMBEDDED = "embedded"
    SCALED = "scaled"
    BOTH = "both"


@app.callback()
def _bench() -> None:
    """Keep the verbs' names."""


@app.command()
def chaos(
    mode: Annotated[
        Mode, typer.Option(help="SQLite in one process, PostgreSQL and Redis with several, or both.")
    ] = Mode.BOTH,
    seed: Annotated[int, typer.Option(help="The same seed draws the same faults.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="500 messages, a lease of 5 s: within a minute.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End standard output with one JSON object.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of docs/reliability.md.")] = False,
) -> None:
    """Drain notifications while processes are killed and servers fail; count what was lost, stuck or sent twice."""
    command = _from_checkout("benchmarks.chaos.command")
    status = command.main(mode=mode.value, seed=seed, quick=quick, as_json=as_json, as_markdown=markdown)
    raise typer.Exit(status)


def _from_checkout(module: str) -> Any:
    """Import a program that is beside the package in a checkout only; exit status 2 where there is none."""
    if not (ROOT / "benchmarks").is_dir() or not (ROOT / "tests").is_dir():
        complain("The benchmarks are not part of the package: run this in a checkout, after `make setup`.")
        raise typer.Exit(MISUSED)
    sys.path.insert(0, str(ROOT))
    forget_environment()  # a run has settings of its own; nobody's database or account shall get into it
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        complain(f"The package {missing.name} is missing: run `make setup`.")
        raise typer.Exit(MISUSED) from None
