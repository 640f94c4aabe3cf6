"""The ledgers and the rules that the database itself keeps, attacked with plain SQL (A-04, A-19)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from gateway.store.engine import Database
from gateway.store.tables import audit, consents, template_versions
from tests.support.clock import START

ENTRY = {"at": START, "actor": "client:a", "verb": "v", "object": "o", "detail": {}}
CONSENT = {
    "subject": "s",
    "channel": "sms",
    "purpose": "dienst",
    "given": True,
    "text_version": "1",
    "text_hash": "h",
    "language": "de",
    "source": "desk",
    "actor": "client:a",
    "at": START,
    "recorded_at": START,
}
VERSION = {"key": "k", "number": 1, "content": "c", "content_hash": "h", "author": "anna", "created_at": START}


async def _ledger(db: Database) -> list[tuple[int, str]]:
    async with db.read() as conn:
        rows = [
            ("c", row) for row in await conn.execute(sa.select(consents.c.id, consents.c.actor).order_by(consents.c.id))
        ]
        rows += [("a", row) for row in await conn.execute(sa.select(audit.c.id, audit.c.actor).order_by(audit.c.id))]
    return [(kind + str(row.id), row.actor) for kind, row in rows]


ATTACKS = [
    "UPDATE {t} SET actor = 'x'",
    "UPDATE {t} SET actor = 'x' WHERE id = 1",
    "DELETE FROM {t}",
    "DELETE FROM {t} WHERE id = 1",
]
ONLY = {
    "sqlite": [
        "INSERT OR REPLACE INTO {t} SELECT * FROM {t}",
        "UPDATE OR IGNORE {t} SET actor = 'x'",
        "INSERT INTO {t} SELECT * FROM {t} WHERE true ON CONFLICT (id) DO UPDATE SET actor = 'x'",
    ],
    "postgresql": [
        "TRUNCATE {t}",
        "TRUNCATE {t} CASCADE",
        "UPDATE {t} SET actor = 'x' WHERE false",
        "INSERT INTO {t} SELECT * FROM {t} ON CONFLICT (id) DO UPDATE SET actor = 'x'",
        "MERGE INTO {t} USING (SELECT 1 AS n) s ON {t}.id = s.n WHEN MATCHED THEN DELETE",
    ],
}


@pytest.mark.parametrize("table", ["consents", "audit"])
async def test_no_statement_changes_a_ledger(db: Database, table: str):
    """Every way of SQL to change or remove a ledger row fails and leaves the rows as they were (A-04)."""
    async with db.write() as conn:
        await conn.execute(sa.insert(consents), [CONSENT, CONSENT])
        await conn.execute(sa.insert(audit), [ENTRY, ENTRY])
    before = await _ledger(db)
    for attack in ATTACKS + ONLY[db.dialect]:
        with pytest.raises(DBAPIError, match="append-only"):
            async with db.write() as conn:
                await conn.execute(sa.text(attack.format(t=table)))
        assert await _ledger(db) == before, attack


async def test_ledgers_still_take_new_rows(db: Database):
    """Append-only means that appending works, also one row after the other."""
    for _ in range(2):
        async with db.write() as conn:
            await conn.execute(sa.insert(consents).values(CONSENT))
            await conn.execute(sa.insert(audit).values(ENTRY))
    assert len(await _ledger(db)) == 4


@pytest.mark.parametrize(
    "version",
    [
        {"state": "approved", "approver": "anna", "approved_at": START},
        {"state": "replaced", "approver": "anna", "approved_at": START},
        {"state": "approved", "approver": None},
    ],
)
async def test_nobody_approves_their_own_version(db: Database, version: dict[str, object]):
    """The database refuses a version approved by its author or by nobody, whoever writes the row."""
    with pytest.raises(DBAPIError):
        async with db.write() as conn:
            await conn.execute(sa.insert(template_versions).values({"id": "v", **VERSION, **version}))


async def test_one_key_has_one_approved_version(db: Database):
    """A second approved row of the same template is refused by the database."""
    approval = {"state": "approved", "approver": "bert", "approved_at": START}
    async with db.write() as conn:
        await conn.execute(sa.insert(template_versions).values({"id": "v1", **VERSION, **approval}))
    with pytest.raises(DBAPIError):
        async with db.write() as conn:
            await conn.execute(sa.insert(template_versions).values({"id": "v2", **VERSION, **approval, "number": 2}))
