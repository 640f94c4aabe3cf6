"""Accept notifications: answer repeated requests, pin the text, plan, persist, ring.

Concurrent requests share one commit; one refused request never fails its neighbours. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway import telemetry
from gateway.domain.errors import CallerError, Conflict
from gateway.domain.model import Plan
from gateway.domain.planning import plan
from gateway.domain.reasons import explain
from gateway.domain.states import Outcome, State
from gateway.store import notifications, people
from gateway.store.rows import Person
from gateway.usecases import events, recipients
from gateway.usecases.checking import Checked, check
from gateway.usecases.grouping import Group
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted, Caller, Posted
from gateway.usecases.texts import approved

Entry = tuple[Caller, Posted]
Key = tuple[str, str]
SLICE = 500  # notifications a transaction
log = telemetry.log()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A notification that is ready to be persisted."""

    checked: Checked
    person: Person
    plan: Plan
    id: str
    answer: Mapping[str, Any]
    delivery_ids: tuple[str, ...]


def open_group(rt: Runtime) -> Group[Entry, Accepted | CallerError]:
    """Return the group that single requests of this process join."""

    async def work(entries: Sequence[Entry]) -> Sequence[Accepted | CallerError]:
        return await accept_group(rt, entries)

    return Group(work)


async def accept(rt: Runtime, caller: Caller, posted: Posted) -> Accepted:
    """Accept one request, sharing the commit with those that arrive at the same time. Raises CallerError."""
    result = await rt.group.join((caller, posted))
    if isinstance(result, CallerError):
        raise result
    return result


async def accept_batch(
    rt: Runtime, caller: Caller, items: Sequence[Posted | CallerError]
) -> list[Accepted | CallerError]:
    """Accept many requests; results are in the order of ``items``, and a bad one never spoils the others."""
    results: list[Accepted | CallerError] = []
    for start in range(0, len(items), SLICE):
        part = items[start : start + SLICE]
        good = [(caller, item) for item in part if not isinstance(item, CallerError)]
        done = iter(await accept_group(rt, good))
        results += [item if isinstance(item, CallerError) else next(done) for item in part]
    return results


async def accept_group(rt: Runtime, entries: Sequence[Entry]) -> list[Accepted | CallerError]:
    """Accept a group in one transaction: the heart of acceptance."""
    await rt.health.look(rt)
    now = rt.clock.now()
    keys: list[Key] = [(caller.client_id, posted.idempotency_key) for caller, posted in entries]
    async with rt.db.read() as conn:
        earlier = await notifications.earlier_answers(conn, list(dict.fromkeys(keys)), now=now)
        texts = await approved(rt, conn, list({posted.template for _, posted in entries}))
    results: dict[int, Accepted | CallerError] = {}
    fresh: dict[Key, tuple[int, Checked]] = {}
    for index, (key, (caller, posted)) in enumerate(zip(keys, entries, strict=True)):
        if key not in earlier and key not in fresh:
            try:
                fresh[key] = (index, check(rt, texts, caller, posted, now=now))
            except CallerError as exc:
                results[index] = exc
    prepared = await _prepare(rt, fresh, results)
    await rt.faults.at("after_prepare")
    ours = await _persist(rt, prepared)
    await rt.faults.at("after_commit_before_ring")
    await _ring(rt, [prepared[key] for key in ours])
    if len(ours) + sum(isinstance(one, CallerError) for one in results.values()) < len(entries):
        async with rt.db.read() as conn:
            earlier = await notifications.earlier_answers(conn, list(dict.fromkeys(keys)), now=now)
    for index, (key, (_, posted)) in enumerate(zip(keys, entries, strict=True)):
        if index in results:
            continue
        if key in ours and fresh[key][0] == index:
            results[index] = Accepted(prepared[key].id, prepared[key].answer, repeated=False)
        else:
            results[index] = _repeat(rt, posted, earlier.get(key))
    return [results[index] for index in range(len(entries))]


def _repeat(rt: Runtime, posted: Posted, earlier: Mapping[str, Any] | None) -> Accepted | CallerError:
    """Answer a request whose key was used before: the first answer, or what is wrong about it."""
    if earlier is None:
        return Conflict("A request with this Idempotency-Key was refused at the same moment; repeat yours.")
    if not rt.vault.same_body(earlier["body_hash"], posted.body):
        return Conflict(
            "This Idempotency-Key was used for another body. Use a new key for a new notification.",
            code="idempotency_key_reused",
        )
    return Accepted(earlier["notification_id"], earlier["answer"], repeated=True)


async def _prepare(
    rt: Runtime,
    fresh: Mapping[Key, tuple[int, Checked]],
    results: dict[int, Accepted | CallerError],
) -> dict[Key, Prepared]:
    """Load (and where stated, save) the recipients, and plan."""
    stated = [(one.recipient, one.addresses, one.caller) for _, one in fresh.values() if not one.recipient.bare]
    for caller in {one[2] for one in stated}:
        mine = [(recipient, addresses) for recipient, addresses, owner in stated if owner == caller]
        async with rt.db.write() as conn:  # one each: the rows of one are locked in order, those of two would not be
            await recipients.save(rt, conn, caller, mine, replace=False)
    async with rt.db.read() as conn:
        known = await people.persons(conn, list({one.recipient.id for _, one in fresh.values()}))
    prepared = {}
    for key, (index, one) in fresh.items():
        person = known.get(one.recipient.id)
        if person is None:
            results[index] = recipients.unknown()
            continue
        prepared[key] = prepare(rt, one, person)
    return prepared


def prepare(rt: Runtime, one: Checked, person: Person) -> Prepared:
    """Plan one checked request and make its answer."""
    planned = plan(
        version=one.pinned.version,
        twin=one.pinned.twin,
        recipient=person.recipient,
        accounts=one.accounts,
        wanted=one.posted.channels,
        draw=rt.dice(),
    )
    new = rt.ids.new()
    ids = tuple(rt.ids.new() for _ in planned.deliveries)
    answer = {
        "id": new,
        "state": (Outcome.PENDING if ids else Outcome.SKIPPED).value,
        "deliveries": [
            {"id": ident, "channel": delivery.channel, "state": State.QUEUED.value}
            for ident, delivery in zip(ids, planned.deliveries, strict=True)
        ],
        "skipped": explained(planned),
    }
    return Prepared(one, person, planned, new, answer, ids)


def explained(planned: Plan) -> list[dict[str, str]]:
    """Return the channels left out, each with its reason and a sentence for caseworkers."""
    return [
        {"channel": skip.channel, "reason": skip.reason, "explanation": explain(skip.reason)}
        for skip in planned.skipped
    ]


async def _persist(rt: Runtime, prepared: Mapping[Key, Prepared]) -> set[Key]:
    """Write the group in one transaction; return the keys that were ours (another process may have been faster)."""
    if not prepared:
        return set()
    now = rt.clock.now()
    rows = {key: _key_row(rt, key, one) for key, one in prepared.items()}
    written = {key: (_notification(rt, one), _deliveries(one), _event(one)) for key, one in prepared.items()}
    async with rt.db.write() as conn:
        ours = await notifications.claim_keys(conn, list(rows.values()), now=now)
        mine = [written[key] for key in prepared if key in ours]
        await notifications.insert_group(
            conn, [one[0] for one in mine], [row for one in mine for row in one[1]], [one[2] for one in mine]
        )
        await events.skipped_at_once(rt, conn, [one[0] for one in mine])
        await rt.faults.at("before_accept_commit")
    for key in ours:
        telemetry.accepted.labels(prepared[key].checked.lane.value).inc()
    telemetry.group_size.labels("accept").observe(len(ours))
    log.info("notifications.accepted", count=len(ours))
    return ours


def _key_row(rt: Runtime, key: Key, one: Prepared) -> dict[str, Any]:
    return {
        "client_id": key[0],
        "key": key[1],
        "body_hash": rt.vault.body_hash(one.checked.posted.body),
        "notification_id": one.id,
        "answer": one.answer,
        "expires_at": one.checked.now + rt.policy.idempotency,
    }


def _notification(rt: Runtime, one: Prepared) -> dict[str, Any]:
    checked = one.checked
    subject = one.person.recipient.subject
    language, fell_back = checked.language_of(one.person)
    return {
        "id": one.id,
        "client_id": checked.caller.client_id,
        "subject": subject,
        "template_version": checked.pinned.version.id,
        "template_key": checked.pinned.version.key,
        "purpose": checked.pinned.version.purpose,
        "language": language,
        "language_fell_back": fell_back,
        "lane": checked.lane.value,
        "reference": checked.posted.reference,
        "variables_sealed": rt.vault.seal(
            msgspec.json.encode(checked.values),
            table="notifications",
            row=one.id,
            column="variables_sealed",
            data_key=rt.vault.open_data_key(subject, one.person.data_key_sealed),
        ),
        "skipped": [{"channel": skip.channel, "reason": skip.reason} for skip in one.plan.skipped],
        "simulate": checked.simulate,
        "send_at": checked.send_at,
        "expires_at": checked.expires_at,
        "cancelled_at": None,
        "outcome": one.answer["state"],
        "created_at": checked.now,
    }


def _deliveries(one: Prepared) -> list[dict[str, Any]]:
    return [
        {
            "id": ident,
            "notification_id": one.id,
            "client_id": one.checked.caller.client_id,
            "subject": one.person.recipient.subject,
            "position": delivery.position,
            "channel": delivery.channel,
            "account": delivery.account,
            "contact_point": delivery.contact_point,
            "template_version": delivery.version,
            "consent_id": delivery.consent,
            "lane": one.checked.lane.value,
            "state": State.QUEUED.value,
            "due_at": one.checked.send_at if delivery.position == 0 else None,
            "expires_at": one.checked.expires_at,
            "tries": 0,
            "token": 0,
            "changed_at": one.checked.now,
        }
        for ident, delivery in zip(one.delivery_ids, one.plan.deliveries, strict=True)
    ]


def _event(one: Prepared) -> dict[str, Any]:
    event = "accepted" if one.delivery_ids else "skipped"
    return {"notification_id": one.id, "delivery_id": None, "at": one.checked.now, "event": event, "code": None}


async def _ring(rt: Runtime, prepared: Sequence[Prepared]) -> None:
    """Ring for what is due now, after the commit; the sweeper rings for the rest in time."""
    due = [one for one in prepared if one.delivery_ids and one.checked.send_at <= one.checked.now]
    for client in dict.fromkeys(one.checked.caller.client_id for one in due):
        mine = [one for one in due if one.checked.caller.client_id == client]
        await rt.doorbell.ring(((one.delivery_ids[0], one.checked.lane) for one in mine), client=client)
