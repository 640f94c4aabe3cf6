"""A copy of the database tells nobody whom we write to or what (A-17)."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import sqlalchemy as sa

from gateway.store.engine import Database
from gateway.store.tables import metadata
from gateway.store.vault import Vault
from tests.support import databases
from tests.support.seeds import person, seed

PEOPLE = [person(number) for number in range(8)]
CLEAR = ("kanarienvogel", "example.org", "Zaunk", "Rohrdommel", "schreibt STOPP")


def _disguises(text: str) -> list[bytes]:
    """Every plain way in which a text could have got into the bytes."""
    raw = text.encode()
    return [raw, raw.hex().encode(), raw.lower(), text.encode("utf-16-le"), base64.b64encode(raw)[:-4]]


async def _dump(db: Database) -> bytes:
    """Read every column of every table."""
    parts: list[bytes] = []
    async with db.read() as conn:
        for table in metadata.sorted_tables:
            for row in await conn.execute(sa.select(table)):
                parts += [value if isinstance(value, bytes) else repr(value).encode() for value in row]
    return b"\n".join(parts)


async def test_a_dump_holds_no_address_and_no_variable(db: Database, vault: Vault):
    """Neither addresses, variables nor inbound words of seeded people are in any column, in any disguise."""
    async with db.write() as conn:
        for one in PEOPLE:
            await seed(conn, vault, one, suppressed=True)
    dump = await _dump(db)
    assert PEOPLE[0].recipient.encode() in dump  # the dump does hold the rows
    texts = [text for one in PEOPLE for text in (one.address, one.variables, one.words)]
    for text in (*CLEAR, *texts):
        assert not [form for form in _disguises(text) if form in dump], text


def _files(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("store-*"))


async def test_the_sqlite_files_hold_no_address_and_no_variable(sqlite_template: Path, tmp_path: Path, vault: Vault):
    """Nor does the file itself, its write-ahead log included."""
    db = await Database.open(databases.sqlite_copy(sqlite_template, tmp_path))
    async with db.write() as conn:
        for one in PEOPLE:
            await seed(conn, vault, one, suppressed=True)
    dump = await asyncio.to_thread(_files, tmp_path)  # before closing, which removes the log
    await db.close()
    assert PEOPLE[0].recipient.encode() in dump
    for text in CLEAR:
        assert not [form for form in _disguises(text) if form in dump], text
