"""Recipients as the authority knows them: put, get, give and withdraw consent.

A recipient belongs to the authority: the same id from two clients is the same person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from channels.kit.contract import Address
from channels.kit.errors import AddressInvalid
from gateway.domain.consent import PURPOSES
from gateway.domain.errors import CallerError, Fault, Invalid, NotFound
from gateway.domain.masking import hint
from gateway.store import audit, people
from gateway.store.engine import Connection
from gateway.store.rows import AddressRow, Person
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Caller, PostedConsent, PostedContactPoint, PostedRecipient

SLICE = 500


def address_of(rt: Runtime, channel: str, raw: str, *, pointer: str) -> Address:
    """Return the canonical address. Raises Invalid with the reason and the JSON pointer, never the address."""
    account = next((one for one in rt.accounts.values() if one.facts.channel == channel), None)
    if account is None:
        known = ", ".join(sorted({one.facts.channel for one in rt.accounts.values()})) or "none"
        fault = Fault(f"{pointer}/channel", "channel_unknown", f"no account is configured for it; configured: {known}")
        raise Invalid("A contact point names a channel that this gateway has no account for.", faults=[fault])
    try:
        return account.adapter.address_of(raw)
    except AddressInvalid as exc:
        fault = Fault(f"{pointer}/address", "address_invalid", exc.reason)
        raise Invalid("A contact point's address is not one of its channel.", faults=[fault]) from None


async def put(rt: Runtime, caller: Caller, posted: PostedRecipient) -> Mapping[str, Any]:
    """Create or change one recipient; fields that are None stay, a list of contact points replaces the old one."""
    result = (await put_batch(rt, caller, [posted]))[0]
    if isinstance(result, CallerError):
        raise result
    return await get(rt, caller, posted.id)


async def put_batch(
    rt: Runtime, caller: Caller, items: Sequence[PostedRecipient | CallerError]
) -> list[Mapping[str, Any] | CallerError]:
    """Create or change many recipients; one bad item never spoils the others. Results are in the order of items."""
    results: list[Mapping[str, Any] | CallerError] = []
    for start in range(0, len(items), SLICE):
        part = items[start : start + SLICE]
        good: list[tuple[PostedRecipient, list[Address]]] = []
        for item in part:
            try:
                if isinstance(item, CallerError):
                    raise item
                good.append((item, checked(rt, caller, item)))
                results.append({"id": item.id})
            except CallerError as exc:
                results.append(exc)
        async with rt.db.write() as conn:
            await save(rt, conn, caller, good, replace=True)
    return results


def checked(rt: Runtime, caller: Caller, posted: PostedRecipient, *, pointer: str = "") -> list[Address]:
    """Return the canonical addresses of the contact points. Raises Invalid."""
    if caller.test != posted.id.startswith("test-"):
        fault = Fault(
            f"{pointer}/id", "test_key", "test keys reach only ids that begin with 'test-', live keys no such"
        )
        raise Invalid("This key and this recipient do not go together.", code="test_key_mismatch", faults=[fault])
    found = []
    for index, point in enumerate(posted.contact_points or ()):
        where = f"{pointer}/contact_points/{index}"
        found.append(
            Address(point.channel, point.address)
            if caller.test
            else address_of(rt, point.channel, point.address, pointer=where)
        )
    for index, consent in enumerate(posted.consents or ()):
        _sensible(rt, consent.channel, consent.purpose, pointer=f"{pointer}/consents/{index}")
    return found


def _together(caller: Caller, recipient: str, *, pointer: str = "") -> None:
    """Keep test keys away from people, and live keys from magic recipients. Raises Invalid."""
    if caller.test != recipient.startswith("test-"):
        fault = Fault(pointer, "test_key", "test keys reach only ids that begin with 'test-', live keys no such")
        raise Invalid("This key and this recipient do not go together.", code="test_key_mismatch", faults=[fault])


def _sensible(rt: Runtime, channel: str, purpose: str, *, pointer: str = "") -> None:
    """Refuse a consent for a channel or purpose that does not exist. Raises Invalid."""
    if purpose not in PURPOSES:
        fault = Fault(f"{pointer}/purpose", "purpose_unknown", f"one of {', '.join(PURPOSES)}")
        raise Invalid("A consent names a purpose that this gateway does not know.", faults=[fault])
    known = sorted({*rt.kinds, *(one.facts.channel for one in rt.accounts.values())})
    if channel not in known:
        fault = Fault(f"{pointer}/channel", "channel_unknown", f"one of {', '.join(known)}")
        raise Invalid("A consent names a channel that does not exist.", faults=[fault])


async def save(
    rt: Runtime,
    conn: Connection,
    caller: Caller,
    items: Sequence[tuple[PostedRecipient, Sequence[Address]]],
    *,
    replace: bool,
) -> None:
    """Write recipients within the caller's transaction; ``replace`` drops contact points that are not listed."""
    now = rt.clock.now()
    merged, again = _once_each(items)
    if not merged:
        return
    await _ensure(rt, conn, [posted for posted, _ in merged.values()], now)
    known = await people.persons(conn, list(merged))
    await people.save_recipients(
        conn, [], [(known[key].recipient.subject, _columns(posted, now)) for key, (posted, _) in merged.items()]
    )
    stored = await people.addresses(conn, [person.recipient.subject for person in known.values()])
    new: list[Mapping[str, Any]] = []
    verified: list[tuple[str, datetime, str | None]] = []
    gone: list[str] = []
    for key, (posted, addresses) in merged.items():
        person = known[key]
        old = stored.get(person.recipient.subject, [])
        listed = list(zip(posted.contact_points or (), addresses, strict=True))
        kept = _points(rt, person, listed, old, new=new, verified=verified, now=now)
        if replace and posted.contact_points is not None:
            gone += [row.id for row in old if row.id not in kept]
    await people.save_contact_points(conn, new, verified, gone)
    rows = [row for key, (posted, _) in merged.items() for row in _ledger_rows(known[key], posted, now)]
    await people.append_consents(conn, rows)
    await audit.append(
        conn, at=now, actor=f"client:{caller.name}", verb="recipients.saved", object=f"{len(merged)} recipients"
    )
    await save(rt, conn, caller, again, replace=replace)  # an id that is listed twice is written twice, in order


Stated = tuple[PostedRecipient, Sequence[Address]]


def _once_each(items: Sequence[Stated]) -> tuple[dict[str, Stated], list[Stated]]:
    """Return the first statement about each id, and the later ones."""
    first: dict[str, Stated] = {}
    again = [item for item in items if first.setdefault(item[0].id, item) is not item]
    return first, again


def _columns(posted: PostedRecipient, now: datetime) -> dict[str, Any]:
    given = {
        "language": posted.language,
        "birth_year": posted.birth_year,
        "preferred": None if posted.preferred_channels is None else list(posted.preferred_channels),
    }
    return {name: value for name, value in given.items() if value is not None} | {"updated_at": now}


async def _ensure(rt: Runtime, conn: Connection, posted: Sequence[PostedRecipient], now: datetime) -> None:
    """Give unknown recipients a random subject and a data key."""
    known = await people.known_ids(conn, [one.id for one in posted])
    missing = [one.id for one in posted if one.id not in known]
    links = []
    for recipient in missing:
        subject = rt.ids.new()
        sealed = rt.vault.seal_data_key(subject, rt.vault.new_data_key())
        links.append({"subject": subject, "recipient": recipient, "data_key_sealed": sealed, "created_at": now})
    made = await people.insert_subjects(conn, links)
    fresh = [
        {"subject": link["subject"], "language": "de", "birth_year": None, "preferred": [], "updated_at": now}
        for link in links
        if link["recipient"] in made
    ]
    await people.save_recipients(conn, fresh, [])


def _points(
    rt: Runtime,
    person: Person,
    listed: Sequence[tuple[PostedContactPoint, Address]],
    old: Sequence[AddressRow],
    *,
    new: list[Mapping[str, Any]],
    verified: list[tuple[str, datetime, str | None]],
    now: datetime,
) -> set[str]:
    """Sort the stated contact points into new ones and newly verified ones; return the ids that stay."""
    kept = set()
    data_key = rt.vault.open_data_key(person.recipient.subject, person.data_key_sealed)
    for point, address in listed:
        indexes = rt.vault.indexes(address.channel, address.value)
        match = next((row for row in old if row.channel == address.channel and row.address_index in indexes), None)
        if match is not None:
            kept.add(match.id)
            if point.verified_at is not None and match.verified_at != point.verified_at:
                verified.append((match.id, point.verified_at, point.verified_how))
            continue
        row_id = rt.ids.new()
        sealed = rt.vault.seal(
            address.value.encode(), table="contact_points", row=row_id, column="address_sealed", data_key=data_key
        )
        new.append(
            {
                "id": row_id,
                "subject": person.recipient.subject,
                "channel": address.channel,
                "address_sealed": sealed,
                "address_index": rt.vault.index(address.channel, address.value),
                "verified_at": point.verified_at,
                "verified_how": point.verified_how,
                "created_at": now,
            }
        )
    return kept


def _ledger_rows(person: Person, posted: PostedRecipient, now: datetime) -> list[Mapping[str, Any]]:
    """Return the entries to append; one that repeats the standing entry is not news."""
    standing = {(one.channel, one.purpose): one for one in person.recipient.consents}
    rows = []
    for consent in posted.consents or ():
        last = standing.get((consent.channel, consent.purpose))
        if last is None or not last.given or last.at != consent.given_at:
            rows.append(ledger_row(person.recipient.subject, consent, given=True, now=now))
    return rows


def ledger_row(subject: str, consent: PostedConsent, *, given: bool, now: datetime) -> Mapping[str, Any]:
    """Return one row for the ledger."""
    return {
        "subject": subject,
        "channel": consent.channel,
        "purpose": consent.purpose,
        "given": given,
        "text_version": consent.text_version,
        "text_hash": consent.text_hash,
        "language": consent.language,
        "source": consent.source,
        "actor": consent.actor,
        "at": consent.given_at,
        "proof": consent.proof,
        "recorded_at": now,
    }


def unknown() -> NotFound:
    """Return the error for an id that nobody has put yet."""
    return NotFound("There is no recipient with this id. Put it with PUT /v1/recipients/{id} first.")


async def _known(conn: Connection, recipient: str) -> Person:
    person = (await people.persons(conn, [recipient])).get(recipient)
    if person is None:
        raise unknown()
    return person


async def get(rt: Runtime, caller: Caller, recipient: str) -> Mapping[str, Any]:
    """Return what is known about a recipient; addresses only as hints. The reading is audited (A-19)."""
    _together(caller, recipient)
    async with rt.db.write() as conn:
        person = await _known(conn, recipient)
        subject = person.recipient.subject
        stored = (await people.addresses(conn, [subject])).get(subject, [])
        entries = await people.ledger(conn, subject)
        await audit.append(
            conn, at=rt.clock.now(), actor=f"client:{caller.name}", verb="read", object="recipient", subject=subject
        )
    data_key = rt.vault.open_data_key(subject, person.data_key_sealed)
    facts = {point.id: point for point in person.recipient.contact_points}
    standing = {one.id for one in person.recipient.consents}
    return {
        "id": recipient,
        "language": person.recipient.language,
        "birth_year": person.recipient.birth_year,
        "preferred_channels": list(person.recipient.preferred),
        "contact_points": [
            {
                "id": row.id,
                "channel": row.channel,
                "address_hint": hint(row.channel, _opened(rt, row, data_key)),
                "verified_at": row.verified_at,
                "verified_how": row.verified_how,
                "suppressed": facts[row.id].suppressed,
                "reason": facts[row.id].reason or None,
            }
            for row in stored
        ],
        "consents": [_entry(row) for row in entries if row["id"] in standing],
    }


def _entry(row: Mapping[str, Any]) -> Mapping[str, Any]:
    names = ("channel", "purpose", "given", "at", "text_version", "language", "source")
    return {"ledger_row": row["id"]} | {name: row[name] for name in names}


def _opened(rt: Runtime, row: AddressRow, data_key: bytes) -> str:
    plain = rt.vault.open(
        row.address_sealed, table="contact_points", row=row.id, column="address_sealed", data_key=data_key
    )
    return plain.decode()


async def give_consent(rt: Runtime, caller: Caller, recipient: str, consent: PostedConsent) -> Mapping[str, Any]:
    """Append a given consent to the ledger and return its row."""
    _together(caller, recipient)
    _sensible(rt, consent.channel, consent.purpose)
    async with rt.db.write() as conn:
        person = await _known(conn, recipient)
        now = rt.clock.now()
        row = ledger_row(person.recipient.subject, consent, given=True, now=now)
        ids = await people.append_consents(conn, [row])
        await audit.append(
            conn,
            at=now,
            actor=f"client:{caller.name}",
            verb="consent.given",
            object=f"consents/{ids[0]}",
            subject=person.recipient.subject,
        )
    return _entry({**row, "id": ids[0]})


async def withdraw_consent(
    rt: Runtime, caller: Caller, recipient: str, channel: str, purpose: str, *, source: str, actor: str, at: datetime
) -> Mapping[str, Any]:
    """Append a withdrawal to the ledger: the last entry stands, whatever came before."""
    _together(caller, recipient)
    _sensible(rt, channel, purpose)
    async with rt.db.write() as conn:
        person = await _known(conn, recipient)
        rows = await withdraw(rt, conn, person.recipient.subject, channel, [purpose], source=source, actor=actor, at=at)
        await audit.append(
            conn,
            at=rt.clock.now(),
            actor=f"client:{caller.name}",
            verb="consent.withdrawn",
            object=f"consents/{rows[0]['id']}",
            subject=person.recipient.subject,
        )
    return _entry(rows[0])


async def withdraw(
    rt: Runtime,
    conn: Connection,
    subject: str,
    channel: str,
    purposes: Sequence[str],
    *,
    source: str,
    actor: str,
    at: datetime,
) -> list[Mapping[str, Any]]:
    """Append withdrawals for some purposes within the caller's transaction; return the rows with their ids."""
    rows = [
        {
            "subject": subject,
            "channel": channel,
            "purpose": purpose,
            "given": False,
            "text_version": "",
            "text_hash": "",
            "language": "",
            "source": source,
            "actor": actor,
            "at": at,
            "proof": None,
            "recorded_at": rt.clock.now(),
        }
        for purpose in purposes
    ]
    ids = await people.append_consents(conn, rows)
    return [{**row, "id": one} for row, one in zip(rows, ids, strict=True)]
