"""Rules: what shall go wrong, for which address, how often.

They only say what was ordered; carrying it out is the stand-ins' work. Shapes come from outside and are checked here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHANNELS = ("email", "sms", "telegram", "whatsapp")
FAULTS = ("reset", "hang", "cut_after_accept")
ANYONE = "*"
_MAX_RULES = 50_000
_HTTP_ERRORS = range(300, 600)
_BY_CALLBACK = ("failed", "undelivered")
_REPLY = re.compile(r"[45][0-9]{2}( [ -~]+)?")
_PLACES = ("rcpt", "data")


class Malformed(ValueError):
    """A control request that cannot be understood. ``pointer``: JSON pointer of the wrong part (RFC 6901)."""

    def __init__(self, pointer: str, what: str) -> None:
        super().__init__(what)
        self.pointer = pointer


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happens instead of success; unused parts are None or ""."""

    http: int | None = None
    code: int | None = None
    description: str = ""
    retry_after: int | None = None
    migrate_to_chat_id: int | None = None
    status: str = ""
    reply: str = ""
    at: str = "rcpt"
    fault: str = ""


@dataclass(slots=True)
class Rule:
    """One order. ``left``: how often it still applies, or None for always."""

    channel: str
    to: str
    outcome: Outcome
    left: int | None


def plain_address(channel: str, raw: str) -> str:
    """Return the form in which addresses are compared: mailboxes in lower case, numbers without a channel prefix."""
    if channel == "email":
        return raw.strip().lower()
    if channel == "whatsapp":
        return raw.strip().removeprefix("whatsapp:")
    return raw.strip()


class Rules:
    """All orders. For one address the oldest goes first; orders for everybody come after those for one address."""

    def __init__(self) -> None:
        self._orders: dict[tuple[str, str], deque[Rule]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rules: list[Rule]) -> None:
        """Append ``rules``. Raises Malformed beyond 50,000 in all."""
        if self._count + len(rules) > _MAX_RULES:
            raise Malformed("", f"more than {_MAX_RULES} rules")
        for rule in rules:
            self._orders.setdefault((rule.channel, rule.to), deque()).append(rule)
        self._count += len(rules)

    def clear(self) -> None:
        """Forget all orders."""
        self._orders.clear()
        self._count = 0

    def take(self, channel: str, to: str, *, at: str | None = None) -> Outcome | None:
        """Return what shall happen to this message, or None for success; one of its ``times`` is then spent.

        at: consider only orders for this place of the SMTP dialogue ("rcpt" or "data").
        """
        if not self._orders:
            return None
        for key in ((channel, plain_address(channel, to)), (channel, ANYONE)):
            for rule in self._orders.get(key, ()):
                if at is None or rule.outcome.at == at:
                    self._spend(key, rule)
                    return rule.outcome
        return None

    def _spend(self, key: tuple[str, str], rule: Rule) -> None:
        if rule.left is None:
            return
        rule.left -= 1
        if rule.left == 0:
            self._orders[key].remove(rule)
            self._count -= 1
            if not self._orders[key]:
                del self._orders[key]


def read_rules(body: Any) -> list[Rule]:
    """Return the rules in a decoded JSON list. Raises Malformed at the first part that is wrong."""
    if not isinstance(body, list):
        raise Malformed("", "expected a list of rules")
    return [_rule(f"/{position}", item) for position, item in enumerate(body)]


def _rule(pointer: str, item: Any) -> Rule:
    _only(pointer, item, {"channel", "to", "outcome", "times"})
    channel, to, times = item.get("channel"), item.get("to"), item.get("times")
    if channel not in CHANNELS:
        raise Malformed(f"{pointer}/channel", f"expected one of {', '.join(CHANNELS)}")
    if not isinstance(to, str | int) or not str(to):
        raise Malformed(f"{pointer}/to", 'expected an address or "*"')
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
        raise Malformed(f"{pointer}/times", "expected a number above 0, or null for always")
    return Rule(channel, plain_address(channel, str(to)), _outcome(f"{pointer}/outcome", channel, item), times)


def _outcome(pointer: str, channel: str, item: Mapping[str, Any]) -> Outcome:
    allowed = {"fault", "at", "reply"} if channel == "email" else {"fault", "http", "code", "retry_after"}
    if channel == "telegram":
        allowed |= {"description", "migrate_to_chat_id"}
    elif channel != "email":
        allowed |= {"status", "description"}
    given = _only(pointer, item.get("outcome"), allowed)
    _check_values(pointer, given)
    fault = given.get("fault", "")
    if "at" not in given and fault == "cut_after_accept":
        given = {**given, "at": "data"}
    if not fault and not any(given.get(name) for name in ("http", "status", "reply")):
        raise Malformed(pointer, "says nothing: give http, status, reply or fault")
    return Outcome(**given)


def _check_values(pointer: str, given: Mapping[str, Any]) -> None:
    choices = {"fault": FAULTS, "status": _BY_CALLBACK, "at": _PLACES}
    for name, allowed in choices.items():
        if name in given and given[name] not in allowed:
            raise Malformed(f"{pointer}/{name}", f"expected one of {', '.join(allowed)}")
    for name in ("http", "code", "retry_after", "migrate_to_chat_id"):
        if name in given and (not isinstance(given[name], int) or isinstance(given[name], bool)):
            raise Malformed(f"{pointer}/{name}", "expected a whole number")
    if "http" in given and given["http"] not in _HTTP_ERRORS:
        raise Malformed(f"{pointer}/http", "expected a status from 300 to 599")
    if not isinstance(given.get("description", ""), str):
        raise Malformed(f"{pointer}/description", "expected text")
    if "reply" in given and not (isinstance(given["reply"], str) and _REPLY.fullmatch(given["reply"])):
        raise Malformed(f"{pointer}/reply", 'expected an SMTP reply such as "550 5.1.1 unknown"')


def _only(pointer: str, item: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Malformed(pointer, "expected an object")
    for name in item:
        if name not in names:
            raise Malformed(f"{pointer}/{name}", f"unknown; expected some of {', '.join(sorted(names))}")
    return item
