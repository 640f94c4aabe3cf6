"""The package's own test: the conformance suite that ships with Botengang."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, ClassVar

from botengang_jsonpost import JsonPost

from channels.conformance import AdapterConformance, Call, HttpStandin, Reply, Tape
from channels.conformance.bench import CALLBACK, KEY, NOW
from channels.kit.contract import Fact, Kind, WebhookRequest
from gateway.egress import Http

WEBHOOK_KEY = "kanarien-webhook-key"


class House(HttpStandin):
    """The SMS house on loopback."""

    def text_of(self, call: Call) -> str:
        """Return the text of a POST."""
        assert json.loads(call.body)["id"] == KEY
        return json.loads(call.body)["text"]

    def success(self, call: Call) -> Reply:
        """Accept, or tell the balance."""
        return Reply(202, {"message": f"m{self.sends}"}) if self.is_send(call) else Reply(200, {"balance": 1})

    def options(self) -> dict[str, Any]:
        """Return the settings of an account."""
        return {"base_url": self.base_url, "key": "kanarien-api-key", "webhook_key": WEBHOOK_KEY}


class TestJsonPost(AdapterConformance):
    """Everything that an adapter must do."""

    adapter = JsonPost
    http = Http
    standin = House
    good_addresses: ClassVar[dict[str, str]] = {"0151 23456789": "+4915123456789"}
    bad_addresses = ("15123456789", "069 1234567")
    proof = "x-signature"
    covers = frozenset({"body", "url"})
    stranger: ClassVar[dict[str, Any]] = {"webhook_key": "somebody-else"}
    rotated: ClassVar[dict[str, Any]] = {"webhook_key": "new", "previous_webhook_key": WEBHOOK_KEY}

    def hook(self, **event: Any) -> WebhookRequest:
        """Return a signed event."""
        body = json.dumps({"at": 1800000000, **event}).encode()
        proof = hmac.new(WEBHOOK_KEY.encode(), CALLBACK.encode() + b"\n" + body, hashlib.sha256).hexdigest()
        headers = {self.proof: proof, "content-type": "application/json"}
        return WebhookRequest(method="POST", url=CALLBACK, headers=headers, body=body, received_at=NOW)

    def text_hook(self, text: str) -> WebhookRequest:
        """Return a text of a person."""
        return self.hook(event="e3", text=text, **{"from": "+4915123456789"})

    def tapes(self) -> Sequence[Tape]:
        """Return one event of each kind."""
        return (
            Tape("arrived", self.hook(event="e1", message="m1", status="arrived", id=KEY), (Fact.DELIVERED,)),
            Tape("lost", self.hook(event="e2", message="m1", status="lost", reason="17"), (Fact.FAILED,)),
            Tape("a text", self.text_hook("Hallo"), (Kind.TEXT,)),
        )
