"""Endpoints of clients: register, list, test, rotate the secret, replay, delete. Posting is gateway.usecases.posting's.

A secret is shown when it is made, and never again; at rest it is sealed. Standard Webhooks 1.0.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from channels.kit.errors import CertificateRefused, HttpFailure, NotSent
from gateway.domain.callbacks import OLD_SECRET, PING, TYPES
from gateway.domain.errors import Conflict, Fault, Invalid, NotFound
from gateway.egress import Barred, UrlRefused
from gateway.store import audit, callbacks
from gateway.store.engine import Connection
from gateway.usecases import events
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Caller

MOST = 20  # endpoints of one client
_SECRET_BYTES = 32
_OK = range(200, 300)
_REASONS = {
    "malformed": "an absolute URL of printable ASCII without user name and fragment",
    "not_https": "the URL must begin with https://",
    "not_public": "the host must lie on the public internet; an operator may allow others",
}


async def register(rt: Runtime, caller: Caller, url: str, types: Sequence[str]) -> Mapping[str, Any]:
    """Add an endpoint for these types (none given: for all) and return it with its secret, shown this once.

    It gets what is numbered from now on. Raises Invalid, Conflict.
    """
    unknown = [index for index, one in enumerate(types) if one not in TYPES]
    if unknown:
        fault = Fault(f"/types/{unknown[0]}", "not_one_of", f"one of {', '.join(TYPES)}")
        raise Invalid("There is no such type of event.", faults=[fault])
    try:
        await rt.courier.check(url)
    except UrlRefused as exc:
        fault = Fault("/url", "url_refused", _REASONS[exc.reason])
        raise Invalid("This URL cannot be called back.", faults=[fault]) from None
    ident, secret = rt.ids.new(), _new_secret()
    now = rt.clock.now()
    row = {"id": ident, "client_id": caller.client_id, "url": url, "types": list(types), "created_at": now}
    async with rt.db.write() as conn:
        if len(await callbacks.endpoints_of(conn, caller.client_id)) >= MOST:
            raise Conflict(f"A client has at most {MOST} endpoints; delete one first.")
        await callbacks.add_endpoint(conn, row | {"secret_sealed": _sealed(rt, ident, "secret_sealed", secret)})
        await _note(rt, conn, caller, ident, "registered")
    return {**_told(row, (0, 0)), "secret": secret}


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def _sealed(rt: Runtime, ident: str, column: str, secret: str) -> bytes:
    return rt.vault.seal(secret.encode(), table="endpoints", row=ident, column=column)


def signing(rt: Runtime, row: Mapping[str, Any]) -> list[str]:
    """Return the secrets that sign a post to this endpoint now, the newest first."""
    columns = ["secret_sealed"]
    if row["previous_until"] is not None and row["previous_until"] > rt.clock.now():
        columns.append("previous_sealed")
    return [rt.vault.open(row[one], table="endpoints", row=row["id"], column=one).decode() for one in columns]


async def _note(rt: Runtime, conn: Connection, caller: Caller, ident: str, done: str) -> None:
    await audit.append(
        conn, at=rt.clock.now(), actor=f"client:{caller.name}", verb=f"callback.{done}", object=f"endpoints/{ident}"
    )


def _told(row: Mapping[str, Any], tally: tuple[int, int]) -> dict[str, Any]:
    """Return an endpoint as its client sees it, without any secret."""
    return {
        "id": row["id"],
        "url": row["url"],
        "types": row["types"] or list(TYPES),
        "created_at": row["created_at"],
        "disabled_at": row.get("disabled_at"),
        "previous_until": row.get("previous_until"),
        "waiting": tally[0],
        "given_up": tally[1],
    }


async def listing(rt: Runtime, caller: Caller) -> list[Mapping[str, Any]]:
    """Return the caller's endpoints, oldest first, with how many posts wait and how many were given up."""
    async with rt.db.read() as conn:
        rows = await callbacks.endpoints_of(conn, caller.client_id)
        tallies = await callbacks.tallies(conn, [row["id"] for row in rows])
    return [_told(row, tallies[row["id"]]) for row in rows]


async def overview(rt: Runtime) -> list[Mapping[str, Any]]:
    """Return everybody's endpoints with their client's name, for operators."""
    async with rt.db.read() as conn:
        rows = await callbacks.endpoints_of(conn)
        tallies = await callbacks.tallies(conn, [row["id"] for row in rows])
    return [{**_told(row, tallies[row["id"]]), "client": row["client"], "client_id": row["client_id"]} for row in rows]


async def one(rt: Runtime, caller: Caller, ident: str) -> Mapping[str, Any]:
    """Return one endpoint of the caller's. Raises NotFound."""
    async with rt.db.read() as conn:
        row = await _own(conn, caller, ident)
        tallies = await callbacks.tallies(conn, [ident])
    return _told(row, tallies[ident])


async def _own(conn: Connection, caller: Caller | None, ident: str, *, lock: bool = False) -> Mapping[str, Any]:
    """Return an endpoint of the caller's; None: an operator, who sees all. Raises NotFound."""
    row = await callbacks.endpoint(conn, ident, lock=lock)
    if row is None or (caller is not None and row["client_id"] != caller.client_id):
        raise NotFound("There is no endpoint with this id, or it is not yours.")
    return row


async def delete(rt: Runtime, caller: Caller, ident: str) -> None:
    """Delete an endpoint with everything that waits for it. Raises NotFound."""
    async with rt.db.write() as conn:
        await _own(conn, caller, ident, lock=True)
        await callbacks.drop_endpoint(conn, ident)
        await _note(rt, conn, caller, ident, "deleted")


async def rotate(rt: Runtime, caller: Caller, ident: str) -> Mapping[str, Any]:
    """Give an endpoint a new secret, shown this once; the old one signs beside it for 24 hours. Raises NotFound."""
    secret = _new_secret()
    async with rt.db.write() as conn:
        row = await _own(conn, caller, ident, lock=True)
        old = rt.vault.open(row["secret_sealed"], table="endpoints", row=ident, column="secret_sealed").decode()
        until = rt.clock.now() + OLD_SECRET
        await callbacks.change_endpoint(
            conn,
            ident,
            secret_sealed=_sealed(rt, ident, "secret_sealed", secret),
            previous_sealed=_sealed(rt, ident, "previous_sealed", old),
            previous_until=until,
        )
        await _note(rt, conn, caller, ident, "rotated")
        tallies = await callbacks.tallies(conn, [ident])
    return {**_told({**row, "previous_until": until}, tallies[ident]), "secret": secret}


async def replay(
    rt: Runtime, caller: Caller | None, ident: str, *, after: int | None = None, since: datetime | None = None
) -> int:
    """Queue events anew from a cursor or a moment on, with the ids they had; return how many.

    caller: None is an operator.  Raises NotFound, Conflict for a disabled endpoint.
    """
    await events.number_new(rt)
    async with rt.db.write() as conn:
        row = await _own(conn, caller, ident, lock=True)
        if row["disabled_at"] is not None:
            raise Conflict("The endpoint is disabled. A test that it answers with 2xx enables it again.")
        queued = await callbacks.replay(conn, row, after=after, since=since, now=rt.clock.now())
        actor = f"client:{caller.name}" if caller else "cli"
        await audit.append(
            conn, at=rt.clock.now(), actor=actor, verb="callback.replayed", object=f"endpoints/{ident}",
            detail={"queued": queued},
        )  # fmt: skip
    return queued


async def ping(rt: Runtime, caller: Caller, ident: str) -> Mapping[str, Any]:
    """Post a signed ``ping`` now and tell what came: {ok, status, failure}; 2xx enables a disabled endpoint again."""
    async with rt.db.read() as conn:
        row = await _own(conn, caller, ident)
    now = rt.clock.now()
    event_id = rt.ids.new()
    event: dict[str, Any] = {"id": event_id, "seq": None, "type": PING, "timestamp": now, "data": {}}
    status, failure = 0, None
    try:
        answer = await rt.courier.post(
            row["url"], msgspec.json.encode(event), ident=event_id, at=now, secrets=signing(rt, row)
        )
        status = answer.status
    except HttpFailure as exc:
        failure = failure_code(exc)
    if status in _OK and row["disabled_at"] is not None:
        async with rt.db.write() as conn:
            await callbacks.change_endpoint(conn, ident, disabled_at=None)
            await _note(rt, conn, caller, ident, "enabled")
    return {"ok": status in _OK, "status": status or None, "failure": failure}


def failure_code(exc: HttpFailure) -> str:
    """Return one word for why no answer came."""
    if isinstance(exc, Barred):
        return "not_public"
    if isinstance(exc, CertificateRefused):
        return "certificate"
    return "not_reached" if isinstance(exc, NotSent) else "no_answer"
