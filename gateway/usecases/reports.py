"""Report on notifications: one with its whole timeline, or a page of a client's list. No address, no content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.domain.content import language_tag
from gateway.domain.errors import NotFound
from gateway.domain.reasons import explain
from gateway.domain.states import State
from gateway.store import notifications
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Caller, Search


async def notification(rt: Runtime, caller: Caller, ident: str) -> Mapping[str, Any]:
    """Return one notification of the caller's with deliveries, attempts, skips and timeline. Raises NotFound."""
    async with rt.db.read() as conn:
        row = await notifications.one(conn, ident)
        if row is None or row["client_id"] != caller.client_id:
            raise NotFound("There is no notification with this id, or it is not yours.")
        rows, attempts, events = await notifications.parts(conn, ident)
        versions = {row["template_version"], *(one["template_version"] for one in rows)}
        contents = await rt.contents.of(conn, versions)
    keys = {version: contents[version].key for version in versions}
    return {
        "id": ident,
        "state": row["outcome"],
        "template": row["template_key"],
        "version": row["template_version"],
        "language": language_tag(row["language"]),
        "language_fell_back": row["language_fell_back"],
        "reference": row["reference"],
        "test": row["simulate"] is not None,
        "recipient": {"id": row["recipient"]},
        "created_at": row["created_at"],
        "send_at": row["send_at"],
        "expires_at": row["expires_at"],
        "deliveries": [_delivery(one, keys, attempts) for one in rows],
        "skipped": [one | {"explanation": explain(one["reason"])} for one in row["skipped"]],
        "timeline": [_event(one) for one in events],
    }


def _delivery(
    row: Mapping[str, Any], keys: Mapping[str, str], attempts: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    names = ("number", "began_at", "ended_at", "verdict", "provider_code")
    return {
        "id": row["id"],
        "channel": row["channel"],
        "account": row["account"],
        "state": row["state"],
        "standby": row["state"] == State.QUEUED.value and row["due_at"] is None and not row["held"],
        "held": row["held"],
        "tries": row["tries"],
        "due_at": row["due_at"],
        "code": row["code"],
        "explanation": explain(row["code"] or row["state"]),
        "template": keys[row["template_version"]],
        "consent": row["consent_id"],
        "attempts": [{name: one[name] for name in names} for one in attempts if one["delivery_id"] == row["id"]],
    }


def _event(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "at": row["at"],
        "event": row["event"],
        "delivery": row["delivery_id"],
        "code": row["code"],
        "explanation": explain(row["code"] or row["event"]),
    }


async def listing(rt: Runtime, caller: Caller, search: Search) -> tuple[list[Mapping[str, Any]], str | None]:
    """Return a page of the caller's notifications, newest first, and the cursor of the next page (None: the last)."""
    async with rt.db.read() as conn:
        rows = await notifications.listing(
            conn,
            caller.client_id,
            reference=search.reference,
            outcome=search.state,
            template=search.template,
            before=search.after,
            limit=search.limit + 1,
        )
    page: list[Mapping[str, Any]] = [
        {
            "id": row["id"],
            "state": row["outcome"],
            "template": row["template_key"],
            "reference": row["reference"],
            "created_at": row["created_at"],
        }
        for row in rows[: search.limit]
    ]
    return page, page[-1]["id"] if len(rows) > search.limit else None
