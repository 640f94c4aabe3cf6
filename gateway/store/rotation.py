"""Renew what older keys sealed or indexed, in batches, while everything else goes on serving.

It makes no keys (``KeyRing.add_key``, ``add_index_key`` do) and drops none: see ``outstanding`` first. Each batch is
one transaction, and a row changes only if nobody changed it meanwhile: a run may be stopped anywhere and begun again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    Row,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.dialect import insert
from gateway.store.engine import Database
from gateway.store.tables import contact_points, endpoints, inbound, subjects, suppressions
from gateway.store.vault import HEAD_BYTES, OWN, Vault, VaultError, head, inbound_row, index_head

_SEALED_INBOUND = (inbound.c.address_sealed, inbound.c.text_sealed, inbound.c.payload_sealed)
_SECRETS = (endpoints.c.secret_sealed, endpoints.c.previous_sealed)


class NotRotated(VaultError):
    """Some rows cannot be opened with the keys at hand; all others are renewed. ``rows``: how many by table."""

    def __init__(self, changed: int, rows: Mapping[str, int]) -> None:
        self.changed = changed
        self.rows = dict(rows)
        which = ", ".join(f"{count} of {table}" for table, count in sorted(self.rows.items()))
        super().__init__(f"{changed} rows were renewed, but these cannot be opened: {which}")


@dataclass(frozen=True, slots=True)
class _Step:
    """Which rows of a table are stale, in the order of ``keys``, and how one of them is renewed."""

    table: Table
    keys: tuple[Column[Any], ...]
    stale: Callable[[Vault], Select[Any]]
    renew: Callable[[AsyncConnection, Vault, Row[Any]], Awaitable[int]]


async def rotate(db: Database, vault: Vault, *, batch: int = 500) -> int:
    """Bring every row to the active keys and return how many rows changed; 0 when there was nothing to do.

    Suppressions of addresses that nobody has any more cannot be indexed anew: they keep the old index key in use, and
    ``outstanding`` counts them. Raises NotRotated at the end when rows cannot be opened, StoreAway.
    """
    changed, broken = 0, Counter[str]()
    for step in (_DATA_KEYS, _INBOUND, _ENDPOINTS, _CONTACT_POINTS):
        changed += await _run(db, vault, step, batch, broken)
    top = await _last_point_if_needed(db, vault)
    if top is not None:
        changed += await _run(db, vault, _suppressions_up_to(top), batch, broken)
    if broken:
        raise NotRotated(changed, broken)
    return changed


async def _run(db: Database, vault: Vault, step: _Step, batch: int, broken: Counter[str]) -> int:
    changed = 0
    after: tuple[Any, ...] | None = None
    while rows := await _next(db, step.stale(vault), step.keys, after, batch):
        after = tuple(getattr(rows[-1], key.name) for key in step.keys)
        async with db.write() as conn:
            for row in rows:
                try:
                    changed += await step.renew(conn, vault, row)
                except VaultError:
                    broken[step.table.name] += 1
    return changed


async def outstanding(db: Database, vault: Vault) -> dict[str, int]:
    """Return how many rows of each table still need an older key; all 0: older keys may leave the ring."""
    left = {}
    async with db.read() as conn:
        for table, condition in (
            (subjects, _old_seal(vault, subjects.c.data_key_sealed)),
            (inbound, or_(_old_index(vault, inbound.c.address_index), _old_inbound(vault))),
            (endpoints, _old_secrets(vault)),
            (contact_points, _old_index(vault, contact_points.c.address_index)),
            (suppressions, _old_index(vault, suppressions.c.address_index)),
        ):
            left[table.name] = (
                await conn.execute(select(func.count()).select_from(table).where(condition))
            ).scalar_one()
    return left


async def _next(
    db: Database, stale: Select[Any], keys: tuple[Column[Any], ...], after: tuple[Any, ...] | None, batch: int
) -> list[Row[Any]]:
    if after is not None:
        stale = stale.where(
            tuple_(*keys) > tuple_(*(literal(value, key.type) for value, key in zip(after, keys, strict=True)))
        )
    async with db.read() as conn:
        return list(await conn.execute(stale.order_by(*keys).limit(batch)))


def _old_seal(vault: Vault, column: Column[Any]) -> ColumnElement[bool]:
    return func.substr(column, 1, HEAD_BYTES, type_=LargeBinary).not_in([head(vault.active[0]), head(OWN)])


def _old_index(vault: Vault, column: Column[Any]) -> ColumnElement[bool]:
    newest = index_head(vault.active[1])
    return func.substr(column, 1, len(newest), type_=LargeBinary) != newest


def _old_inbound(vault: Vault) -> ColumnElement[bool]:
    return or_(*(_old_seal(vault, column) for column in _SEALED_INBOUND))


# --- the data keys of people ----------------------------------------------------------------------------------------
def _stale_data_keys(vault: Vault) -> Select[Any]:
    columns = subjects.c.subject, subjects.c.data_key_sealed
    return select(*columns).where(_old_seal(vault, subjects.c.data_key_sealed))


async def _renew_data_key(conn: AsyncConnection, vault: Vault, row: Row[Any]) -> int:
    renewed = vault.seal_data_key(row.subject, vault.open_data_key(row.subject, row.data_key_sealed))
    statement = (
        update(subjects)
        .where(subjects.c.subject == row.subject, subjects.c.data_key_sealed == row.data_key_sealed)
        .values(data_key_sealed=renewed)
    )
    return (await conn.execute(statement)).rowcount


# --- what people wrote ----------------------------------------------------------------------------------------------
def _stale_inbound(vault: Vault) -> Select[Any]:
    columns = inbound.c.account, inbound.c.event_id, inbound.c.channel, inbound.c.address_index, *_SEALED_INBOUND
    return select(*columns).where(or_(_old_inbound(vault), _old_index(vault, inbound.c.address_index)))


async def _renew_inbound(conn: AsyncConnection, vault: Vault, row: Row[Any]) -> int:
    place = inbound_row(row.account, row.event_id)
    plain, renewed = {}, dict[str, Any]()
    for column in (one.name for one in _SEALED_INBOUND):
        plain[column] = vault.open(getattr(row, column), table="inbound", row=place, column=column)
        renewed[column] = vault.seal(plain[column], table="inbound", row=place, column=column)
    renewed["address_index"] = vault.index(row.channel, plain["address_sealed"].decode())
    statement = (
        update(inbound)
        .where(inbound.c.account == row.account, inbound.c.event_id == row.event_id)
        .where(inbound.c.address_index == row.address_index)
        .where(*(column == getattr(row, column.name) for column in _SEALED_INBOUND))
        .values(renewed)
    )
    return (await conn.execute(statement)).rowcount


# --- what callbacks are signed with ---------------------------------------------------------------------------------
def _old_secrets(vault: Vault) -> ColumnElement[bool]:
    return or_(*(and_(column.is_not(None), _old_seal(vault, column)) for column in _SECRETS))


def _stale_endpoints(vault: Vault) -> Select[Any]:
    return select(endpoints.c.id, *_SECRETS).where(_old_secrets(vault))


async def _renew_endpoint(conn: AsyncConnection, vault: Vault, row: Row[Any]) -> int:
    sealed = {column.name: getattr(row, column.name) for column in _SECRETS}
    renewed = {}
    for name in (name for name, value in sealed.items() if value is not None):
        plain = vault.open(sealed[name], table="endpoints", row=row.id, column=name)
        renewed[name] = vault.seal(plain, table="endpoints", row=row.id, column=name)
    unchanged = endpoints.c.id == row.id, endpoints.c.secret_sealed == row.secret_sealed
    return (await conn.execute(update(endpoints).where(*unchanged).values(renewed))).rowcount


# --- where to find an address ---------------------------------------------------------------------------------------
def _points() -> Select[Any]:
    return select(
        contact_points.c.id,
        contact_points.c.subject,
        contact_points.c.channel,
        contact_points.c.address_sealed,
        contact_points.c.address_index,
        subjects.c.data_key_sealed,
    ).join(subjects, subjects.c.subject == contact_points.c.subject)


def _stale_points(vault: Vault) -> Select[Any]:
    return _points().where(_old_index(vault, contact_points.c.address_index))


def _address(vault: Vault, row: Row[Any]) -> str:
    data_key = vault.open_data_key(row.subject, row.data_key_sealed)
    plain = vault.open(
        row.address_sealed, table="contact_points", row=row.id, column="address_sealed", data_key=data_key
    )
    return plain.decode()


async def _renew_point(conn: AsyncConnection, vault: Vault, row: Row[Any]) -> int:
    """Index a contact point anew, and in the same transaction the suppression of its address: a STOP has no gap."""
    newest, *older = vault.indexes(row.channel, _address(vault, row))
    twin = contact_points.alias()
    taken = exists().where(twin.c.subject == row.subject, twin.c.channel == row.channel, twin.c.address_index == newest)
    statement = (
        update(contact_points)
        .where(contact_points.c.id == row.id, contact_points.c.address_index == row.address_index, ~taken)
        .values(address_index=newest)
    )
    moved = await _move_suppression(conn, row.channel, older, newest)
    return moved + (await conn.execute(statement)).rowcount


async def _move_suppression(conn: AsyncConnection, channel: str, older: list[bytes], newest: bytes) -> int:
    old = (suppressions.c.channel == channel, suppressions.c.address_index.in_(older))
    columns = suppressions.c.channel, literal(newest, LargeBinary), suppressions.c.reason, suppressions.c.since
    first = select(*columns).where(*old).order_by(suppressions.c.since).limit(1)
    await conn.execute(
        insert(conn, suppressions)
        .from_select(["channel", "address_index", "reason", "since"], first)
        .on_conflict_do_nothing(index_elements=[suppressions.c.channel, suppressions.c.address_index])
    )
    return (await conn.execute(delete(suppressions).where(*old))).rowcount


async def _last_point_if_needed(db: Database, vault: Vault) -> str | None:
    """Return the last contact point's id when there are suppressions under an older index, or None."""
    old = select(exists().where(_old_index(vault, suppressions.c.address_index)))
    async with db.read() as conn:
        if not (await conn.execute(old)).scalar_one():
            return None
        last: str | None = (await conn.execute(select(func.max(contact_points.c.id)))).scalar_one()
        return last


async def _renew_suppression(conn: AsyncConnection, vault: Vault, row: Row[Any]) -> int:
    newest, *older = vault.indexes(row.channel, _address(vault, row))
    return await _move_suppression(conn, row.channel, older, newest)


_DATA_KEYS = _Step(subjects, (subjects.c.subject,), _stale_data_keys, _renew_data_key)
_ENDPOINTS = _Step(endpoints, (endpoints.c.id,), _stale_endpoints, _renew_endpoint)
_INBOUND = _Step(inbound, (inbound.c.account, inbound.c.event_id), _stale_inbound, _renew_inbound)
_CONTACT_POINTS = _Step(contact_points, (contact_points.c.id,), _stale_points, _renew_point)


def _suppressions_up_to(top: str) -> _Step:
    """Walk all addresses, for suppressions under an older index than their address has; ``top`` makes it end."""
    points = _points().where(contact_points.c.id <= top)
    return _Step(contact_points, (contact_points.c.id,), lambda _vault: points, _renew_suppression)
