"""`botengang keys rotate` and `keys outstanding`: from older keys of the ring to newer ones, while all else goes on."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from gateway.commands.running import with_runtime
from gateway.usecases import rotating
from gateway.usecases.runtime import Runtime

out = Console()


def rotate(
    new: Annotated[bool, typer.Option("--new", help="Add a sealing key to the ring first, and use it.")] = False,
    new_index: Annotated[bool, typer.Option("--new-index", help="Add an index key too, and use it.")] = False,
    only_add: Annotated[bool, typer.Option("--only-add", help="Leave the rows: other machines need the ring.")] = False,
) -> None:
    """Bring every row to the newest keys, in batches; it may be stopped anywhere and begun again."""

    async def work(rt: Runtime) -> tuple[tuple[int, int], int | None]:
        active = await rotating.add_keys(rt, sealing=new, index=new_index)
        return active, None if only_add else await rotating.rotate(rt)

    (sealing, index), changed = with_runtime(work)
    if new or new_index:
        out.print(f"The ring uses sealing key {sealing} and index key {index}: copy it to every machine, and apart.")
    if changed is not None:
        out.print(f"{changed} rows renewed.")


def outstanding() -> None:
    """Count the rows that still need an older key; exit status 1 while there are any."""
    left = with_runtime(rotating.outstanding)
    for table, rows in left.items():
        out.print(f"{table}: {rows}")
    raise typer.Exit(int(any(left.values())))
