"""Check one request before anything is read or written about a person: text, values, times, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from channels.kit.contract import Address, Confidentiality
from gateway.domain.content import VariablesInvalid, canonical_variables, choose_language
from gateway.domain.errors import Fault, Invalid
from gateway.domain.model import Account, Lane
from gateway.store.rows import Person
from gateway.usecases import recipients, simulation
from gateway.usecases.runtime import SIMULATOR, Runtime
from gateway.usecases.shapes import Caller, Posted, PostedRecipient
from gateway.usecases.texts import Pinned, Texts

LONGEST = timedelta(days=366)  # how far ahead send_at and expires_at may lie


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A request that may be planned."""

    caller: Caller
    posted: Posted
    pinned: Pinned
    recipient: PostedRecipient  # as stated; for test keys, the magic one
    addresses: Sequence[Address] = field(repr=False)
    values: Mapping[str, str] = field(repr=False)  # canonical variables
    accounts: Sequence[Account]
    lane: Lane
    simulate: str | None
    send_at: datetime
    expires_at: datetime
    now: datetime

    def language_of(self, person: Person) -> tuple[str, bool]:
        """Return the language to write in (key of the text), and whether it is not the one wished for (A-28)."""
        return choose_language(self.pinned.content, person.recipient.language)


def check(rt: Runtime, texts: Texts, caller: Caller, posted: Posted, *, now: datetime) -> Checked:
    """Return the checked request. Raises Invalid naming every field at fault."""
    pinned = texts.pin(posted.template)
    if pinned.version.klass >= Confidentiality.K3:
        raise Invalid(
            "Texts of this class never leave the house (A-01). Post 'postfach_neu' and provide the document there.",
            code="class_not_allowed",
        )
    try:
        values = canonical_variables(pinned.content, posted.variables)
    except VariablesInvalid as exc:
        faults = [Fault(f"/variables{one.pointer}", one.code, one.detail) for one in exc.problems]
        raise Invalid("The variables do not fit the template; GET /v1/templates/{key}.", faults=faults) from None
    send_at, expires_at = _times(rt, posted, now)
    recipient = posted.recipient
    if caller.test:
        recipient = simulation.person(recipient.id, pinned.content.channels, [pinned.version.purpose])
    _channels(rt, pinned, posted, test=caller.test)
    return Checked(
        caller=caller,
        posted=posted,
        pinned=pinned,
        recipient=recipient,
        addresses=recipients.checked(rt, caller, recipient, pointer="/recipient"),
        values=values,
        accounts=_simulated(pinned) if caller.test else rt.facts,
        lane=posted.priority or (Lane.URGENT if pinned.version.urgent else Lane.NORMAL),
        simulate=simulation.outcome_of(recipient.id) if caller.test else None,
        send_at=send_at,
        expires_at=expires_at,
        now=now,
    )


def _times(rt: Runtime, posted: Posted, now: datetime) -> tuple[datetime, datetime]:
    send_at = max(posted.send_at or now, now)
    expires_at = posted.expires_at or send_at + rt.policy.default_expiry
    faults = []
    if expires_at <= send_at:
        faults.append(Fault("/expires_at", "expired", "must be later than now and than send_at"))
    for name, moment in (("send_at", send_at), ("expires_at", expires_at)):
        if moment - now > LONGEST:
            faults.append(Fault(f"/{name}", "too_far", "must be within the next 366 days"))
    if faults:
        raise Invalid("The times do not go together.", faults=faults)
    return send_at, expires_at


def _channels(rt: Runtime, pinned: Pinned, posted: Posted, *, test: bool) -> None:
    known = set(pinned.content.channels) | set(rt.kinds) | {one.channel for one in rt.facts}
    unknown = [index for index, name in enumerate(posted.channels or ()) if name not in known]
    if unknown and not test:
        faults = [Fault(f"/channels/{one}", "channel_unknown", f"one of {', '.join(sorted(known))}") for one in unknown]
        raise Invalid("The request names a channel that does not exist.", faults=faults)


def _simulated(pinned: Pinned) -> list[Account]:
    """Return the accounts that test keys are planned on: released, and up to K2, on every channel of the text."""
    return [Account(SIMULATOR, channel, Confidentiality.K2) for channel in pinned.content.channels]
