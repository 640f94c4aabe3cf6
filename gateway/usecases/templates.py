"""Texts: push files as drafts, approve them, list and describe what is approved. The studio comes on top of this."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from channels.kit.contract import Confidentiality
from gateway.domain.content import Content, language_tag, variables_schema
from gateway.domain.errors import Conflict, Fault, Invalid, NotFound
from gateway.render.catalogue import to_source
from gateway.render.lint import check
from gateway.store import audit, templates
from gateway.usecases.runtime import Runtime


async def push(rt: Runtime, contents: Sequence[Content], *, author: str) -> list[Mapping[str, Any]]:
    """Make a draft of every content that differs from the newest version of its key; return what was done.

    Nothing is sent from a draft. Each entry: {key, number, id, state}, state "unchanged" where nothing was new.
    """
    done: list[Mapping[str, Any]] = []
    now = rt.clock.now()
    async with rt.db.write() as conn:
        for content in contents:
            source = to_source(content)
            digest = hashlib.sha256(source.encode()).hexdigest()
            last = await templates.latest(conn, content.key)
            if last is not None and last.content_hash == digest:
                done.append({"key": content.key, "number": last.number, "id": last.id, "state": "unchanged"})
                continue
            row = await templates.insert_version(
                conn, id=rt.ids.new(), key=content.key, content=source, content_hash=digest, author=author, now=now
            )
            await audit.append(conn, at=now, actor=author, verb="template.pushed", object=f"{row.key}/{row.number}")
            done.append({"key": row.key, "number": row.number, "id": row.id, "state": row.state})
    return done


async def approve(rt: Runtime, key: str, *, approver: str) -> Mapping[str, Any]:
    """Approve the newest draft of a key: the checks pass, and nobody approves their own. Raises CallerError."""
    now = rt.clock.now()
    async with rt.db.write() as conn:
        row = await templates.latest(conn, key)
        if row is None:
            raise NotFound(f"There is no version of '{key}'. Run `botengang templates push` first.")
        if row.state != "draft":
            raise Conflict(f"The newest version of '{key}' is {row.state}; there is nothing to approve.")
        if row.author == approver:
            raise Conflict(f"Author and approver of '{key}' must be two persons.", code="four_eyes")
        content = (await rt.contents.of(conn, [row.id]))[row.id]
        newest = {one.key: one.id for one in sorted(await templates.listing(conn), key=lambda one: one.number)}
        others = await rt.contents.of(conn, newest.values())
        k1_keys = {other for other, ident in newest.items() if others[ident].klass is Confidentiality.K1}
        problems = check(content, rt.kinds, k1_keys=k1_keys)
        if problems:
            faults = [Fault(one.pointer, one.code, one.detail) for one in problems]
            raise Invalid(f"The checks found problems in '{key}'.", code="template_invalid", faults=faults)
        await templates.approve(conn, row.id, approver=approver, now=now)
        await audit.append(conn, at=now, actor=approver, verb="template.approved", object=f"{row.key}/{row.number}")
    return {"key": key, "number": row.number, "id": row.id, "state": "approved"}


async def published(rt: Runtime) -> list[Mapping[str, Any]]:
    """Return the approved templates, by key."""
    async with rt.db.read() as conn:
        rows = await templates.approved(conn)
        contents = await rt.contents.of(conn, [row.id for row in rows])
    return [_summary(row, contents[row.id]) for row in sorted(rows, key=lambda row: row.key)]


async def describe(rt: Runtime, key: str) -> Mapping[str, Any]:
    """Return one approved template with the JSON Schema of its variables. Raises NotFound."""
    async with rt.db.read() as conn:
        rows = await templates.approved(conn, [key])
        contents = await rt.contents.of(conn, [row.id for row in rows])
    if not rows:
        raise NotFound("There is no approved template with this key. GET /v1/templates lists them.")
    content = contents[rows[0].id]
    return _summary(rows[0], content) | {"variables": variables_schema(content), "buttons": list(content.buttons)}


def _summary(row: templates.VersionRow, content: Content) -> dict[str, Any]:
    return {
        "key": content.key,
        "title": content.title,
        "version": row.number,
        "class": content.klass.name,
        "purpose": content.purpose,
        "channels": list(content.channels),
        "languages": [language_tag(one) for one in content.texts],
    }


async def drafts(rt: Runtime) -> list[str]:
    """Return the keys whose newest version is a draft."""
    async with rt.db.read() as conn:
        newest = {row.key: row for row in sorted(await templates.listing(conn), key=lambda row: row.number)}
    return sorted(key for key, row in newest.items() if row.state == "draft")
