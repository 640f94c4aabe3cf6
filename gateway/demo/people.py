"""Invent the recipients and what they are told, from a fixed seed: the same people and texts at every run.

1,300 people aged 15 to 25 as in a district's Jobcenter; the shares are this demonstration's own choice.
"""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.domain.content import Content

START = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)  # a Monday morning: the demonstration's first instant
SEED = 1300
LANGUAGES = {"de": 57, "ar": 12, "uk": 10, "tr": 9, "en": 8, "de-x-leicht": 4}
CHANNELS = {"email": 0.72, "sms": 0.62, "whatsapp": 0.5, "telegram": 0.16}
WEEKDAYS = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag")
NOT_POSTED = frozenset({"kontakt_bestaetigen", "termin_hinweis"})  # a verification, and the twin without an event
OFTEN = {
    "termin_erinnerung": 6,
    "unterlagen_fehlen": 4,
    "postfach_neu": 4,
    "termin_bestaetigt": 3,
    "weiterbewilligung": 2,
}
NO_CONSENT = 0.04
NO_CHANNEL = 0.02
UNVERIFIED = 0.03
DEAD = 0.05
WITHDRAWN = 0.03


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person: what a backend service would put, and which addresses are dead."""

    id: str
    name: str
    body: Mapping[str, Any]
    addresses: Mapping[str, str]
    dead: tuple[str, ...]  # channels whose address cannot be reached


def invent(count: int, *, run: str) -> list[Person]:
    """Return ``count`` people; ids carry the ``run``, everything else is the same at every run."""
    draw = random.Random(SEED)  # noqa: S311 - invention, not secrecy
    return [_person(draw, number, run) for number in range(1, count + 1)]


def _person(draw: random.Random, number: int, run: str) -> Person:
    channels = [name for name, share in CHANNELS.items() if draw.random() < share] or ["email"]
    if draw.random() < NO_CHANNEL:
        channels = []
    draw.shuffle(channels)
    mobile = f"+49176{40_000_000 + number}"
    address = {
        "email": f"person.{number:04d}@post.example",
        "sms": mobile,
        "whatsapp": mobile,
        "telegram": str(700_000_000 + number),
    }
    unverified = {name for name in channels if draw.random() < UNVERIFIED}
    dead = tuple(name for name in channels if draw.random() < DEAD)
    body: dict[str, Any] = {
        "id": f"{run}-{number:05d}",
        "language": draw.choices(list(LANGUAGES), list(LANGUAGES.values()))[0],
        "birth_year": draw.randint(2002, 2011),
        "preferred_channels": channels,
        "contact_points": [_point(name, address[name], name in unverified) for name in channels],
        "consents": [] if draw.random() < NO_CONSENT else _consents(draw, channels),
    }
    return Person(body["id"], f"Telefon {number:04d}", body, {name: address[name] for name in channels}, dead)


def _point(channel: str, address: str, unverified: bool) -> dict[str, Any]:
    point: dict[str, Any] = {"channel": channel, "address": address}
    if not unverified:
        point |= {"verified_at": (START - timedelta(days=40)).isoformat(), "verified_how": "code read out at the desk"}
    return point


def _consents(draw: random.Random, channels: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for channel in channels:
        purposes = [name for name, share in (("dienst", 1 - WITHDRAWN), ("info", 0.6)) if draw.random() < share]
        found += [
            {
                "channel": channel,
                "purpose": purpose,
                "text_version": "2027-01",
                "text_hash": "sha256:demonstration",
                "language": "de",
                "source": "desk",
                "actor": "Servicecenter",
                "given_at": (START - timedelta(days=30)).isoformat(),
            }
            for purpose in purposes
        ]
    return found


def tell(people: Sequence[Person], contents: Mapping[str, Content]) -> list[dict[str, Any]]:
    """Return one notification request for each person, with values that fit the template."""
    draw = random.Random(SEED + 1)  # noqa: S311 - invention, not secrecy
    links = random.Random(SEED + 2)  # noqa: S311 - invention, not secrecy
    keys = sorted(set(contents) - NOT_POSTED)
    weights = [OFTEN.get(key, 1) for key in keys]
    return [
        {
            "template": (content := contents[draw.choices(keys, weights)[0]]).key,
            "recipient": {"id": person.id},
            "variables": _values(draw, content, link=_link(links)),
            "reference": f"demo-{person.id}",
        }
        for person in people
    ]


def _link(draw: random.Random) -> str:
    """Return an address of one's own, as a portal makes them: as long as the examples', and like none of them."""
    return "https://info.mtk.example/n/" + "".join(draw.choices(string.ascii_letters + string.digits, k=8))


def _values(draw: random.Random, content: Content, *, link: str) -> dict[str, str]:
    """Return the examples, with a day and hour of the coming weeks, and the link, where a template has them."""
    day = START + timedelta(days=7 * draw.randint(1, 4) + draw.randint(0, 4))
    made = {
        "date": day.strftime("%d.%m.%Y"),
        "weekday": WEEKDAYS[day.weekday()],
        "url": link,
        "time": f"{draw.randint(8, 16):02d}:{draw.choice((0, 15, 30, 45)):02d}",
    }
    return {name: made.get(one.type, one.example) for name, one in content.variables.items()}


def dead_rules(people: Sequence[Person]) -> list[dict[str, Any]]:
    """Return what the stand-ins shall answer for dead addresses, each channel in its provider's own words."""
    said: dict[str, dict[str, Any]] = {
        "email": {"reply": "550 5.1.1 User unknown", "at": "rcpt"},
        "sms": {"status": "undelivered", "code": 30005},
        "whatsapp": {"status": "undelivered", "code": 63024},
        "telegram": {"http": 403, "description": "Forbidden: bot was blocked by the user"},
    }
    return [
        {"channel": name, "to": person.addresses[name], "outcome": said[name], "times": None}
        for person in people
        for name in person.dead
    ]
