"""What the sandbox remembers: the log of messages, the phones they arrived on, the people who own the phones.

Everything is in memory and bounded: old messages go, the counts of the summary stay. No protocol is spoken here.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from channels.sandbox.clock import Clock
from channels.sandbox.rules import CHANNELS, plain_address

KEPT_MESSAGES = 20_000
KEPT_BYTES = 200_000_000
KEPT_PEOPLE = 50_000
KEPT_ON_PHONE = 200
COUNTED_ADDRESSES = 250_000


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press under a message. ``id`` goes back to the sender; ``url`` makes it a link."""

    id: str = field(repr=False)
    label: str = field(repr=False)
    url: str = field(default="", repr=False)


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """One message that somebody tried to hand over; ``raw`` is the whole mail, everything else is empty there.

    n: number in the log, from 1.  code: the provider's error code, None on success.  status: the latest state that a
    provider would report.  runs: formatted text as (text, style, link) triples, empty if the text is plain.
    """

    n: int
    at: datetime
    channel: str
    to: str = field(repr=False)
    provider_id: str = ""
    key: str = ""
    accepted: bool = True
    code: int | str | None = None
    reason: str = ""
    status: str = ""
    text: str = field(default="", repr=False)
    source: str = field(default="", repr=False)
    runs: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)
    buttons: tuple[Button, ...] = field(default=(), repr=False)
    raw: bytes = field(default=b"", repr=False)
    parts: int = 1

    @property
    def size(self) -> int:
        """Return roughly how many bytes this message holds on to."""
        return 600 + len(self.raw) + 2 * len(self.text) + 2 * len(self.source)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person wrote or pressed."""

    at: datetime
    text: str = field(repr=False)
    pressed: bool = False


@dataclass(slots=True)
class Phone:
    """One address on one channel, with what happened there."""

    channel: str
    address: str = field(repr=False)
    items: deque[Entry | Reply] = field(default_factory=lambda: deque(maxlen=KEPT_ON_PHONE), repr=False)
    last_inbound_at: datetime | None = None
    stopped: bool = False
    notice: str = field(default="", repr=False)


@dataclass(slots=True)
class Person:
    """Somebody with up to one phone for each channel. ``revision``: when anything of theirs changed last."""

    number: int
    name: str = field(repr=False)
    language: str = ""
    declared: bool = False
    revision: int = 0
    phones: dict[str, Phone] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Count:
    """The sums of one channel; they stay right when old messages are dropped."""

    accepted: int = 0
    refused: int = 0
    repeated_keys: int = 0
    per_recipient: dict[str, int] = field(default_factory=dict, repr=False)
    keys: set[str] = field(default_factory=set, repr=False)

    def add(self, entry: Entry) -> None:
        """Count one message."""
        if not entry.accepted:
            self.refused += 1
            return
        self.accepted += 1
        to = plain_address(entry.channel, entry.to)
        if to in self.per_recipient or len(self.per_recipient) < COUNTED_ADDRESSES:
            self.per_recipient[to] = self.per_recipient.get(to, 0) + 1
        if not entry.key:
            return
        if entry.key in self.keys:
            self.repeated_keys += 1
        elif len(self.keys) < COUNTED_ADDRESSES:
            self.keys.add(entry.key)

    def as_json(self) -> dict[str, int | bool]:
        """Return the sums; ``capped`` says that there were too many recipients to tell all of them apart."""
        return {
            "accepted": self.accepted,
            "refused": self.refused,
            "recipients": len(self.per_recipient),
            "max_per_recipient": max(self.per_recipient.values(), default=0),
            "repeated_keys": self.repeated_keys,
            "capped": len(self.per_recipient) >= COUNTED_ADDRESSES,
        }


class State:
    """Everything the sandbox remembers. ``revision`` grows with every change that a phone would show."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.revision = 0
        self.log: deque[Entry] = deque()
        self.counts = {channel: Count() for channel in CHANNELS}
        self.people: OrderedDict[int, Person] = OrderedDict()  # the last to hear something is at the end
        self._owners: dict[tuple[str, str], Person] = {}
        self._by_value: dict[str, Person] = {}
        self._bytes = 0
        self._n = 0
        self._person_number = 0

    def record(self, channel: str, to: str, **facts: object) -> Entry:
        """Write one message into the log and onto its phone; ``facts`` are further fields of Entry."""
        self._n += 1
        entry = Entry(n=self._n, at=self.clock.now(), channel=channel, to=to, **facts)  # type: ignore[arg-type] # fields are checked by the dataclass
        self.log.append(entry)
        self._bytes += entry.size
        self.counts[channel].add(entry)
        person = self.owner(channel, to)
        person.phones[channel].items.append(entry)
        self._touch(person)
        while len(self.log) > KEPT_MESSAGES or self._bytes > KEPT_BYTES:
            self._drop_oldest()
        return entry

    def changed(self, entry: Entry, *, status: str = "", code: int | None = None) -> None:
        """Note that a message reached a new state, or that its buttons were taken away."""
        if status:
            entry.status = status
        if code is not None:
            entry.code = code
        self._touch(self.owner(entry.channel, entry.to))

    def reply(self, channel: str, to: str, text: str, *, pressed: bool = False) -> Phone:
        """Put what the person wrote or pressed onto the phone."""
        person = self.owner(channel, to)
        phone = person.phones[channel]
        phone.items.append(Reply(self.clock.now(), text, pressed))
        phone.last_inbound_at = self.clock.now()
        self._touch(person)
        return phone

    def phone(self, channel: str, to: str) -> Phone:
        """Return the phone of an address, a new one if nobody has used it yet."""
        return self.owner(channel, to).phones[channel]

    def notice(self, channel: str, to: str, text: str) -> None:
        """Show a short message on the phone, as the answer to a pressed button."""
        person = self.owner(channel, to)
        person.phones[channel].notice = text
        self._touch(person)

    def owner(self, channel: str, to: str) -> Person:
        """Return whose phone this is. Equal addresses belong to one person, unless people were declared."""
        value = plain_address(channel, to)
        person = self._owners.get((channel, value))
        if person is None:
            person = self._by_value.get(value)
            if person is None or channel in person.phones:
                person = self._new_person(value)
                self._by_value[value] = person
            self._give(person, channel, value)
        return person

    def declare(self, name: str, addresses: dict[str, str], language: str) -> Person:
        """Say that these addresses belong to one person; their phones move there with all that is on them."""
        person = self._new_person(name)
        person.language, person.declared = language, True
        for channel, address in addresses.items():
            value = plain_address(channel, address)
            before = self._owners.get((channel, value))
            self._give(person, channel, value)
            if before is not None:
                person.phones[channel] = before.phones.pop(channel)
                if not before.phones:
                    self._forget(before)
        self._touch(person)
        return person

    def entries(self, after: int) -> list[Entry]:
        """Return the messages that are still kept and whose number is above ``after``, oldest first."""
        if not self.log:
            return []
        return list(islice(self.log, max(0, after - self.log[0].n + 1), None))

    def entry(self, n: int) -> Entry | None:
        """Return one message by its number, or None if it is unknown or was dropped."""
        position = n - self.log[0].n if self.log else -1
        return self.log[position] if 0 <= position < len(self.log) else None

    def _new_person(self, name: str) -> Person:
        self._person_number += 1
        person = Person(self._person_number, name)
        self.people[person.number] = person
        while len(self.people) > KEPT_PEOPLE:
            self._forget(next(iter(self.people.values())))
        return person

    def _give(self, person: Person, channel: str, value: str) -> None:
        self._owners[channel, value] = person
        person.phones[channel] = Phone(channel, value)

    def _forget(self, person: Person) -> None:
        self.people.pop(person.number, None)
        for phone in person.phones.values():
            if self._owners.get((phone.channel, phone.address)) is person:
                del self._owners[phone.channel, phone.address]
        if self._by_value.get(person.name) is person:
            del self._by_value[person.name]

    def _touch(self, person: Person) -> None:
        self.revision += 1
        person.revision = self.revision
        self.people.move_to_end(person.number)

    def _drop_oldest(self) -> None:
        entry = self.log.popleft()
        self._bytes -= entry.size
        person = self._owners.get((entry.channel, plain_address(entry.channel, entry.to)))
        if person is None:
            return
        with contextlib.suppress(ValueError):  # the phone may have dropped it before
            person.phones[entry.channel].items.remove(entry)
