"""Dead letters: list what no channel has taken, give it to be sent once more, or close it.

A requeued delivery walks as every other: consent, suppression, cancellation, expiry and text are read again just before
the call. Of one notification only the first goes at once; the others are its fall-backs again, so that it is never sent
twice at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.domain.deadletters import Letter, Wanted, obstacle
from gateway.domain.errors import NotFound
from gateway.domain.reasons import class_of, explain
from gateway.domain.states import State
from gateway.store import audit, deadletters, keys, locks, notifications
from gateway.store.engine import Connection
from gateway.store.rows import Change
from gateway.usecases import record
from gateway.usecases.runtime import Runtime

BATCH = 200  # notifications a transaction
Decide = Callable[[Sequence[Letter], Mapping[str, str]], str]


@dataclass(slots=True)
class Decided:
    """What came of a decision on many. ``refused``: ids of deliveries by reason; ``more``: there is more."""

    deliveries: int = 0
    notifications: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)
    more: bool = False


async def wanted_of(rt: Runtime, client: str | None, **fields: Any) -> Wanted:
    """Return the filter with the id of the client of this name. Raises NotFound."""
    if client is None:
        return Wanted(**fields)
    async with rt.db.read() as conn:
        row = await keys.client_by_name(conn, client)
    if row is None:
        raise NotFound("There is no client of this name.")
    return Wanted(client=row.id, **fields)


async def listing(
    rt: Runtime, wanted: Wanted, *, after: str | None = None, limit: int = 50
) -> tuple[list[Mapping[str, Any]], str | None]:
    """Return a page of dead letters, newest first, with what happened and what may be done; and the next cursor."""
    async with rt.db.read() as conn:
        rows = await deadletters.listing(conn, wanted, before=after, limit=limit + 1)
        page = rows[:limit]
        letters = await deadletters.letters(conn, {row["notification_id"] for row in page}, wanted)
        policies = await _policies(rt, conn, letters.values())
    now = rt.clock.now()
    told = [_told(row, obstacle(letters[row["notification_id"]], policies, now=now)) for row in page]
    return told, page[-1]["id"] if len(rows) > limit else None


async def summary(rt: Runtime, wanted: Wanted) -> dict[tuple[str, str], int]:
    """Return how many dead letters there are, by (account, code)."""
    async with rt.db.read() as conn:
        return await deadletters.counts(conn, wanted)


def _told(row: Mapping[str, Any], hindered: str) -> Mapping[str, Any]:
    code = row["code"] or State.FAILED.value
    return {
        "id": row["id"],
        "notification": row["notification_id"],
        "client": row["client"],
        "template": row["template_key"],
        "reference": row["reference"],
        "channel": row["channel"],
        "account": row["account"],
        "code": code,
        "class": class_of(code),
        "explanation": explain(code),
        "explanation_en": explain(code, "en"),
        "tries": row["tries"],
        "failed_at": row["changed_at"],
        "expires_at": row["expires_at"],
        "requeue": hindered or "possible",
    }


async def requeue(
    rt: Runtime, wanted: Wanted, *, actor: str, twice: bool = False, dry_run: bool = False, most: int | None = None
) -> Decided:
    """Give dead letters to be sent once more, in batches; what may not be is refused with the reason.

    actor: ``staff:<name>`` or ``client:<name>``.  most: notifications at the most.  A dry run changes nothing.
    """
    now = rt.clock.now()

    def decide(letters: Sequence[Letter], policies: Mapping[str, str]) -> str:
        return obstacle(letters, policies, now=now, twice=twice)

    async def act(conn: Connection, groups: Sequence[Sequence[Letter]]) -> list[tuple[str, str]]:
        changes = [one for letters in groups for one in _again(letters, now, event=f"requeued_by_{_kind(actor)}")]
        rung = await record.apply_within(rt, conn, changes)
        return [*rung, *((letters[0].id, letters[0].lane) for letters in groups)]

    run = _Run(rt, wanted, decide, act, verb="dead_letters.requeued", actor=actor, dry_run=dry_run, most=most)
    return await run.all()


def _again(letters: Sequence[Letter], now: datetime, *, event: str) -> list[Change]:
    """Return the changes for one notification: the first is due now, the others wait behind it."""
    return [
        Change(
            id=one.id, notification_id=one.notification_id, old=State.FAILED, new=State.QUEUED, at=now, event=event,
            due_at=now if one is letters[0] else None, account=one.account,
        )
        for one in letters
    ]  # fmt: skip


async def close(rt: Runtime, wanted: Wanted, *, actor: str, dry_run: bool = False, most: int | None = None) -> Decided:
    """Close dead letters: each stays failed, because that is what happened, and is never sent again."""
    now = rt.clock.now()

    def decide(letters: Sequence[Letter], _: Mapping[str, str]) -> str:
        return "" if letters[0].dead else "not_a_dead_letter"

    async def act(conn: Connection, groups: Sequence[Sequence[Letter]]) -> list[tuple[str, str]]:
        found = [letters[0].notification_id for letters in groups]
        event = {"delivery_id": None, "at": now, "event": f"closed_by_{_kind(actor)}", "code": None}
        await deadletters.close(conn, found, now=now)
        await notifications.note(conn, [event | {"notification_id": one} for one in found])
        return []

    run = _Run(rt, wanted, decide, act, verb="dead_letters.closed", actor=actor, dry_run=dry_run, most=most)
    return await run.all()


def _kind(actor: str) -> str:
    return "client" if actor.startswith("client:") else "staff"


async def _policies(rt: Runtime, conn: Connection, groups: Iterable[Sequence[Letter]]) -> dict[str, str]:
    """Return what each version allows when nobody knows whether it has gone out."""
    versions = {one.version for letters in groups for one in letters}
    contents = await rt.contents.of(conn, versions)
    return {one: contents[one].policy for one in versions}


@dataclass(slots=True)
class _Run:
    """One decision on many: batch by batch, each a transaction of its own with its audit entry; may be repeated."""

    rt: Runtime
    wanted: Wanted
    decide: Decide
    act: Callable[[Connection, Sequence[Sequence[Letter]]], Any]
    verb: str
    actor: str
    dry_run: bool
    most: int | None
    done: Decided = field(default_factory=Decided)
    seen: set[str] = field(default_factory=set)

    async def all(self) -> Decided:
        """Go through everything that is wanted, oldest notification first."""
        after = ""
        looked = 0
        while True:
            size = BATCH if self.most is None else min(BATCH, self.most - looked)
            async with self.rt.db.read() as conn:
                found = await deadletters.notifications_of(conn, self.wanted, after=after, limit=size + 1)
            if size == 0:
                self.done.more = bool(found)
                break
            batch = found[:size]
            if batch:
                await self._batch(batch)
                after, looked = batch[-1], looked + len(batch)
            if len(found) <= size:
                break
        if self.wanted.ids is not None and not self.done.more:
            self._refuse("not_a_dead_letter", sorted(set(self.wanted.ids) - self.seen))
        return self.done

    async def _batch(self, found: Sequence[str]) -> None:
        if self.dry_run:
            async with self.rt.db.read() as conn:
                await self._chosen(conn, found)
            return
        async with self.rt.db.write() as conn:
            await locks.whole(conn, found)
            groups = await self._chosen(conn, found)
            rung = await self.act(conn, groups) if groups else []
            if groups:
                await self._audit(conn, groups)
        await self.rt.doorbell.ring(rung)

    async def _chosen(self, conn: Connection, found: Sequence[str]) -> list[list[Letter]]:
        """Return what may be acted on, by notification; count it, and what may not."""
        by_notification = await deadletters.letters(conn, found, self.wanted)
        policies = await _policies(self.rt, conn, by_notification.values())
        groups = []
        for letters in by_notification.values():
            mine = [one for one in letters if one.wanted]
            self.seen.update(one.id for one in mine)
            hindered = self.decide(letters, policies)
            if hindered:
                self._refuse(hindered, [one.id for one in mine])
            elif mine:
                groups.append(mine)
        self.done.deliveries += sum(len(one) for one in groups)
        self.done.notifications += len(groups)
        return groups

    def _refuse(self, code: str, ids: Sequence[str]) -> None:
        if ids:
            self.done.refused.setdefault(code, []).extend(ids)

    async def _audit(self, conn: Connection, groups: Sequence[Sequence[Letter]]) -> None:
        await audit.append(
            conn,
            at=self.rt.clock.now(),
            actor=self.actor,
            verb=self.verb,
            object="deliveries",
            detail={"deliveries": [one.id for letters in groups for one in letters]},
        )
