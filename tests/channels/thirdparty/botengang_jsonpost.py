"""Somebody else's channel: texts as JSON to an SMS house, receipts and answers by signed webhook.

Written over channels.kit alone, as a separate package would be.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from channels.kit.addresses import mobile
from channels.kit.contract import (
    AdapterOptions,
    Address,
    Capabilities,
    Clock,
    Dataflow,
    Fact,
    Format,
    Health,
    HttpAnswer,
    HttpClient,
    Inbound,
    Kind,
    Limit,
    Measure,
    Message,
    Receipt,
    Request,
    Submission,
    WebhookRequest,
)
from channels.kit.errors import AddressRefused, Forged, HttpFailure, Malformed, Refused, Uncertain, Unsupported
from channels.kit.http import BaseUrl, failure, refusal
from channels.kit.measure import units

_MAX_PARTS = 2
_ACCEPTED = 202


class JsonPostOptions(AdapterOptions):
    """One customer account at the SMS house."""

    base_url: BaseUrl
    key: SecretStr = Field(min_length=1)
    webhook_key: SecretStr = Field(min_length=1)
    previous_webhook_key: SecretStr | None = Field(default=None, min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPostRequest(Request):
    """One POST."""

    text: str = field(repr=False)
    callback_url: str


class JsonPost:
    """Texts by an SMS house with a JSON API."""

    Options: ClassVar[type[AdapterOptions]] = JsonPostOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="x-jsonpost",
        formats=(Format.TEXT,),
        measure=Measure.SEGMENTS,
        max_units=_MAX_PARTS,
        receipts=frozenset({Fact.DELIVERED, Fact.FAILED}),
        inbound=frozenset({Kind.TEXT}),
        limits=(Limit("account", 5),),
        dedupes=True,
        dataflow=Dataflow("SMS-Haus", "DE", ("phone number", "text")),
    )

    def __init__(self, options: JsonPostOptions, *, http: HttpClient, clock: Clock) -> None:
        self._options, self._http, self._clock = options, http, clock
        keys = (options.webhook_key, options.previous_webhook_key)
        self._keys = [one.get_secret_value().encode() for one in keys if one is not None]

    def address_of(self, raw: str) -> Address:
        """Return the mobile number."""
        return mobile(raw, channel="x-jsonpost")

    def encode(self, message: Message, to: Address, *, key: str, callback_url: str = "") -> JsonPostRequest:
        """Return the POST."""
        for name, given in (("buttons", message.buttons), ("approved", message.approved)):
            if given:
                raise Unsupported(name)
        text = message.looks[Format.TEXT]
        if not text or units(text, Measure.SEGMENTS) > _MAX_PARTS:
            raise Unsupported("text")
        return JsonPostRequest(key=key, to=to.value, text=text, callback_url=callback_url)

    async def send(self, request: JsonPostRequest) -> Submission:
        """Post it once."""
        body = {"to": request.to, "text": request.text, "id": request.key, "callback": request.callback_url}
        answer = await self._asked("POST", "/messages", json.dumps(body).encode())
        try:
            return Submission(str(json.loads(answer.body)["message"]))
        except (ValueError, TypeError, LookupError):
            raise Uncertain(code="unreadable_answer") from None

    async def probe(self) -> Health:
        """Ask for the balance."""
        try:
            answer = await self._asked("GET", "/balance", None)
            return Health(ok="balance" in json.loads(answer.body))
        except (Refused, ValueError, TypeError):
            return Health(ok=False, advice="the house answers nonsense")
        except Exception as exc:  # noqa: BLE001  # a probe raises nothing
            return Health(ok=False, advice=f"the house cannot be asked: {getattr(exc, 'code', '')}")

    async def _asked(self, method: str, path: str, body: bytes | None) -> HttpAnswer:
        """Make one call. Raises a ChannelError for anything but 200 and 202."""
        headers = {"X-Key": self._options.key.get_secret_value(), "Content-Type": "application/json"}
        total_s = self._options.deadline_s
        try:
            answer = await self._http.request(
                method, self._options.base_url + path, headers=headers, body=body, total_s=total_s
            )
        except HttpFailure as exc:
            raise failure(exc) from exc
        if answer.status not in (200, _ACCEPTED):
            raise refusal(answer.status, answer.headers, now=self._clock.now())
        return answer

    def verify(self, hook: WebhookRequest) -> None:
        """Check the signature over address and body."""
        given = hook.headers.get("x-signature", "").encode("utf-8", "surrogateescape")
        signed = hook.url.encode("utf-8", "surrogateescape") + b"\n" + hook.body
        right = [hmac.new(key, signed, "sha256").hexdigest().encode() for key in self._keys]
        if True not in [hmac.compare_digest(given, one) for one in right]:
            raise Forged("signature")

    def decode(self, hook: WebhookRequest) -> Sequence[Receipt | Inbound]:
        """Read one event."""
        try:
            return (_event(json.loads(hook.body)),)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, RecursionError):
            raise Malformed("not an event") from None

    async def close(self) -> None:
        """Nothing to give back."""


def _event(event: Mapping[str, Any]) -> Receipt | Inbound:
    """Return a receipt or what a person wrote."""
    identifier, at = str(event["event"]), datetime.fromtimestamp(int(event["at"]), UTC)
    if "from" in event:
        sender = Address("x-jsonpost", str(event["from"]))
        return Inbound(event_id=identifier, sender=sender, kind=Kind.TEXT, at=at, text=str(event["text"]))
    fact = {"arrived": Fact.DELIVERED, "lost": Fact.FAILED}[event["status"]]
    error = AddressRefused(str(event.get("reason", ""))) if fact is Fact.FAILED else None
    provider_id, key = str(event["message"]), str(event.get("id", ""))
    return Receipt(event_id=identifier, provider_id=provider_id, fact=fact, at=at, key=key, error=error)
