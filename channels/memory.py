"""A channel that keeps messages in memory, and fails on demand: for tests, and to try the gateway without a provider.

Reaches nobody and survives nothing. Its webhook is JSON with a shared secret, so receipts and answers can be played.
No standard; everything here is ours.
"""

from __future__ import annotations

import hmac
import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from channels.kit.contract import (
    AdapterOptions,
    Address,
    Button,
    Capabilities,
    Clock,
    Confidentiality,
    Dataflow,
    Fact,
    Format,
    Health,
    HttpClient,
    Inbound,
    Kind,
    Measure,
    Message,
    Receipt,
    Request,
    Submission,
    WebhookRequest,
)
from channels.kit.errors import (
    AddressInvalid,
    AddressRefused,
    ChannelError,
    ContentRefused,
    Forged,
    Malformed,
    Misconfigured,
    OptedOut,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Unsupported,
    WindowClosed,
)
from channels.kit.measure import units

_MAX_CHARACTERS, _MAX_BUTTONS, _MAX_LABEL = 1000, 3, 20
_ADDRESS = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class MemoryOptions(AdapterOptions):
    """``outcomes``: address to error word (``address_refused``, ``throttled``, …); every other address is good."""

    outcomes: Mapping[str, str] = Field({}, description="address to error word, as a JSON table")
    secret: SecretStr = Field(SecretStr("memory"), min_length=1, description="header x-memory-secret of the webhook")
    previous_secret: SecretStr | None = Field(None, min_length=1, description="still accepted")

    @field_validator("outcomes")
    @classmethod
    def _known(cls, outcomes: Mapping[str, str]) -> Mapping[str, str]:
        if unknown := sorted(set(outcomes.values()) - set(WORDS)):
            raise ValueError(f"unknown error words {unknown}; known: {sorted(WORDS)}")
        return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRequest(Request):
    """One message as it would be sent."""

    text: str = field(repr=False)
    buttons: tuple[Button, ...] = field(default=(), repr=False)
    callback_url: str = ""


class Memory:
    """Keeps what it takes in ``taken``, oldest first."""

    Options: ClassVar[type[AdapterOptions]] = MemoryOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="memory",
        formats=(Format.TEXT,),
        measure=Measure.CHARACTERS,
        max_units=_MAX_CHARACTERS,
        receipts=frozenset({Fact.SUBMITTED, Fact.DELIVERED, Fact.READ, Fact.FAILED}),
        inbound=frozenset(Kind),
        max_buttons=_MAX_BUTTONS,
        max_button_characters=_MAX_LABEL,
        ceiling=Confidentiality.K2,
        default_ceiling=Confidentiality.K1,
        dataflow=Dataflow("nobody", "-", ()),
    )

    def __init__(self, options: MemoryOptions, *, http: HttpClient, clock: Clock) -> None:  # noqa: ARG002  # no I/O here
        self._options = options
        secrets = (options.secret, options.previous_secret)
        self._secrets = [one.get_secret_value().encode() for one in secrets if one is not None]
        self._next: deque[ChannelError | None] = deque()
        self.taken: list[MemoryRequest] = []

    def fail_next(self, *errors: ChannelError | None) -> None:
        """Let the next sends end like this, one each; None is a success."""
        self._next.extend(errors)

    def address_of(self, raw: str) -> Address:
        """Return a name of a-z, 0-9, dot, dash and underscore. Raises AddressInvalid."""
        if not _ADDRESS.fullmatch(raw):
            raise AddressInvalid("not_a_name")
        return Address("memory", raw)

    def encode(self, message: Message, to: Address, *, key: str, callback_url: str = "") -> MemoryRequest:
        """Return the message. Raises Unsupported("text" | "buttons" | "approved")."""
        text = message.looks[Format.TEXT]
        if units(text, Measure.CHARACTERS) > _MAX_CHARACTERS:
            raise Unsupported("text")
        if len(message.buttons) > _MAX_BUTTONS or any(len(one.label) > _MAX_LABEL for one in message.buttons):
            raise Unsupported("buttons")
        if message.approved is not None:
            raise Unsupported("approved")
        return MemoryRequest(key=key, to=to.value, text=text, buttons=message.buttons, callback_url=callback_url)

    async def send(self, request: MemoryRequest) -> Submission:
        """Keep the message, or fail as told by ``fail_next`` or the options; Uncertain keeps it and fails."""
        error = self._next.popleft() if self._next else None
        if error is None and request.to in self._options.outcomes:
            error = WORDS[self._options.outcomes[request.to]]("memory")
        if error is None or isinstance(error, Uncertain):
            self.taken.append(request)
        if error is not None:
            raise error
        return Submission(f"memory-{len(self.taken)}")

    def verify(self, hook: WebhookRequest) -> None:
        """Raise Forged unless the call carries the secret."""
        given = hook.headers.get("x-memory-secret", "").encode("utf-8", "surrogateescape")
        if not any([hmac.compare_digest(given, one) for one in self._secrets]):  # noqa: C419  # compare all, always
            raise Forged("secret")

    def decode(self, hook: WebhookRequest) -> Sequence[Receipt | Inbound]:
        """Return what a JSON array of events says; each has ``id`` and either ``fact`` or ``kind``."""
        try:
            return tuple(_event(one) for one in json.loads(hook.body))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
            raise Malformed("not an array of events") from None

    async def probe(self) -> Health:
        """Return that all is well: there is nobody to ask."""
        return Health(ok=True)

    async def close(self) -> None:
        """Nothing to give back; ``taken`` stays readable."""


WORDS: Mapping[str, type[ChannelError]] = {
    cls.default_code: cls
    for cls in (
        Throttled,
        Unavailable,
        Uncertain,
        Misconfigured,
        Refused,
        AddressRefused,
        OptedOut,
        ContentRefused,
        WindowClosed,
    )
}


def _event(event: Mapping[str, Any]) -> Receipt | Inbound:
    """Return one event of the webhook."""
    if not all(isinstance(value, str) for value in event.values()):
        raise TypeError
    at = datetime.fromisoformat(event["at"]) if "at" in event else None
    if at is not None:
        if at.utcoffset() is None:
            raise ValueError
        at = at.astimezone(UTC)
    if "fact" in event:
        fact = Fact(event["fact"])
        error = WORDS[event.get("error", "refused")]("memory") if fact is Fact.FAILED else None
        provider_id, key = event["provider_id"], event.get("key", "")
        return Receipt(event_id=event["id"], provider_id=provider_id, fact=fact, at=at, key=key, error=error)
    return Inbound(
        event_id=event["id"],
        sender=Address("memory", event["from"]),
        kind=Kind(event["kind"]),
        at=at,
        text=event.get("text", ""),
        payload=event.get("payload", ""),
    )
