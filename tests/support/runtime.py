"""A Runtime for tests of the verbs: real store, vault and renderer, approved texts, accounts that keep what they send.

The accounts are ``channels.memory`` under the names and capabilities of the four channels. Nothing of ours is replaced.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from channels.email_smtp import EmailSmtp
from channels.kit.contract import Adapter, Address, Confidentiality, Format, Inbound, Message, Receipt, WebhookRequest
from channels.kit.errors import AddressInvalid
from channels.memory import Memory, MemoryOptions, MemoryRequest
from channels.sms_twilio import SmsTwilio
from channels.telegram_bot import TelegramBot
from channels.whatsapp_twilio import WhatsappTwilio
from gateway.domain.content import Content
from gateway.domain.model import Account, Lane
from gateway.egress import Http
from gateway.queue.jobs import ArqDoorbell, Doorbell, embedded_pool
from gateway.queue.limits import Buckets, LocalBuckets
from gateway.render.catalogue import read_folder, to_source
from gateway.render.render import Letterhead, Renderer
from gateway.store import templates
from gateway.store.engine import Database
from gateway.store.tables import deliveries
from gateway.store.vault import Vault
from gateway.usecases import deliver, recipients, reports, upkeep
from gateway.usecases.accept import open_group
from gateway.usecases.receipts import open_reports
from gateway.usecases.runtime import Ids, OpenAccount, Policy, Runtime
from gateway.usecases.shapes import SCOPES, Accepted, Caller, Posted, PostedConsent, PostedContactPoint, PostedRecipient
from tests.support.clock import START, ManualClock

BASE = "https://boten.example"
LETTERHEAD = Letterhead("Kreis", BASE, BASE, BASE, BASE)
CALLER = Caller("client-1", "portal", frozenset(SCOPES), test=False)
OTHER = Caller("client-2", "fachverfahren", frozenset(SCOPES), test=False)
TESTER = Caller("client-1", "portal", frozenset(SCOPES), test=True)
REAL: tuple[type[Adapter], ...] = (EmailSmtp, SmsTwilio, WhatsappTwilio, TelegramBot)
KINDS = {one.capabilities.channel: one.capabilities for one in REAL}
ACCOUNTS = {"mail": "email", "sms": "sms", "whatsapp": "whatsapp", "telegram": "telegram"}
ADDRESSES = {
    "email": "zaunkoenig@example.org",
    "sms": "+4915550100001",
    "whatsapp": "+4915550100001",
    "telegram": "7001",
}
CANARIES = ("zaunkoenig", "+4915550100001", "k3Vq8ZtA", "30.03.2027")  # must not be in any log, repr or dump
LINK = "https://info.mtk.example/n/k3Vq8ZtA"
VALUES: Mapping[str, Mapping[str, str]] = {
    "unterlagen_fehlen": {"frist": "30.03.2027", "link": LINK},
    "termin_erinnerung": {"wochentag": "Dienstag", "datum": "16.03.2027", "uhrzeit": "10:30", "link": LINK},
    "termin_hinweis": {"link": LINK},
    "dienst_hinweis": {"datum": "15.03.2027", "hinweis": "Das Haus bleibt zu.", "link": LINK},
}


class Kept(Memory):
    """The memory channel under another channel's name; keeps whole messages, and lets a test in during a call."""

    def __init__(self, options: MemoryOptions, *, http: Http, clock: ManualClock) -> None:
        super().__init__(options, http=http, clock=clock)
        self.messages: dict[str, Message] = {}  # by delivery
        self.during: Callable[[MemoryRequest], Awaitable[None]] | None = None
        self.encoding: Callable[[], None] | None = None

    def address_of(self, raw: str) -> Address:
        """Take anything without a space."""
        if " " in raw:
            raise AddressInvalid("has_a_space")
        return Address(self.capabilities.channel, raw)

    def encode(self, message: Message, to: Address, *, key: str, callback_url: str = "") -> MemoryRequest:
        """Keep the message beside the request."""
        if self.encoding is not None:
            self.encoding()
        self.messages[key] = message
        text = message.looks[Format.TEXT]
        return MemoryRequest(key=key, to=to.value, text=text, buttons=message.buttons, callback_url=callback_url)

    async def send(self, request: MemoryRequest) -> Any:
        """Let the test in, then do as ``channels.memory`` does."""
        if self.during is not None:
            await self.during(request)
        return await super().send(request)

    def decode(self, hook: WebhookRequest) -> Sequence[Receipt | Inbound]:
        """Say who wrote under this channel's name."""
        facts = super().decode(hook)
        return [
            replace(one, sender=Address(self.capabilities.channel, one.sender.value))
            if isinstance(one, Inbound)
            else one
            for one in facts
        ]


@cache
def kept(channel: str) -> type[Kept]:
    """Return the class for one channel: its own capabilities, without its rates."""
    return type(f"Kept_{channel}", (Kept,), {"capabilities": replace(KINDS[channel], limits=())})


@cache
def catalogue() -> dict[str, Content]:
    """Read the repository's texts, once."""
    return read_folder(Path(__file__).parents[2] / "templates")


def open_accounts(clock: ManualClock, ceilings: Mapping[str, Confidentiality] | None = None) -> dict[str, OpenAccount]:
    """Return one account for each channel: e-mail up to K2, the others up to K1."""
    allowed = {"mail": Confidentiality.K2} | dict(ceilings or {})
    return {
        name: OpenAccount(
            facts=Account(name, channel, allowed.get(name, Confidentiality.K1)),
            adapter=kept(channel)(MemoryOptions(), http=Http(), clock=clock),
        )
        for name, channel in ACCOUNTS.items()
    }


@asynccontextmanager
async def open_runtime(
    db: Database,
    vault: Vault,
    clock: ManualClock,
    *,
    accounts: Mapping[str, OpenAccount] | None = None,
    doorbell: Doorbell | None = None,
    buckets: Buckets | None = None,
) -> AsyncIterator[Runtime]:
    """Lend a Runtime; its texts are ``publish``'s business."""
    async with AsyncExitStack() as stack:
        ids = Ids(clock)
        if doorbell is None:
            doorbell = ArqDoorbell(embedded_pool(), new_id=ids.new, local=True)
            stack.push_async_callback(doorbell.close)
        rt = Runtime(
            db=db,
            vault=vault,
            doorbell=doorbell,
            buckets=buckets or LocalBuckets(clock),
            renderer=Renderer(LETTERHEAD),
            pages=LETTERHEAD,
            clock=clock,
            ids=ids,
            dice=lambda: 0.5,
            policy=Policy(public_url=BASE, portal_url=f"{BASE}/portal"),
            accounts=accounts or open_accounts(clock),
            kinds=KINDS,
        )
        rt.group, rt.reports = open_group(rt), open_reports(rt)
        stack.push_async_callback(rt.courier.close)
        stack.push_async_callback(rt.group.close)
        stack.push_async_callback(rt.reports.close)
        yield rt


async def publish(rt: Runtime, *contents: Content) -> None:
    """Approve these texts, without the checks; none given: those of VALUES."""
    async with rt.db.write() as conn:
        for content in contents or [catalogue()[key] for key in VALUES]:
            given = {"key": content.key, "content": to_source(content), "content_hash": "-", "author": "author"}
            row = await templates.insert_version(conn, id=rt.ids.new(), now=rt.clock.now(), **given)
            await templates.approve(conn, row.id, approver="approver", now=rt.clock.now())


def consent(channel: str, purpose: str = "dienst") -> PostedConsent:
    """Return a consent as a client states it."""
    return PostedConsent(
        channel=channel, purpose=purpose, text_version="2026-10", text_hash="sha256:9f86", language="de",
        source="portal", actor="portal", given_at=START - timedelta(days=20),
    )  # fmt: skip


def point(channel: str, address: str = "", *, verified: bool = True) -> PostedContactPoint:
    """Return a contact point as a client states it."""
    at = START - timedelta(days=30) if verified else None
    how = "desk" if verified else None
    return PostedContactPoint(channel=channel, address=address or ADDRESSES[channel], verified_at=at, verified_how=how)


def person(ident: str = "P-1", channels: Sequence[str] = ("sms", "email"), **given: Any) -> PostedRecipient:
    """Return somebody who can be reached on these channels, in this order, and consents to ``dienst`` on all."""
    facts: dict[str, Any] = {
        "preferred_channels": tuple(channels),
        "contact_points": tuple(point(one) for one in channels),
        "consents": tuple(consent(one) for one in channels),
    }
    return PostedRecipient(id=ident, **(facts | given))


async def put(rt: Runtime, *people: PostedRecipient, caller: Caller = CALLER) -> None:
    """Put these people."""
    for one in await recipients.put_batch(rt, caller, people or [person()]):
        assert isinstance(one, Mapping), one


def posted(recipient: str | PostedRecipient = "P-1", template: str = "unterlagen_fehlen", **given: Any) -> Posted:
    """Return a request that fits the text; ``key`` is its idempotency key, otherwise a new one each time."""
    who = PostedRecipient(id=recipient) if isinstance(recipient, str) else recipient
    key = given.pop("key", None) or f"key-{next(_numbers)}"
    facts: dict[str, Any] = {"variables": dict(VALUES.get(template, {}))} | given
    body = json.dumps([who.id, template, facts["variables"], str(given)], sort_keys=True).encode()
    return Posted(idempotency_key=key, template=template, recipient=who, **({"body": body} | facts))


_numbers = iter(range(1, 1_000_000))


def first(accepted: Accepted, position: int = 0) -> str:
    """Return the id of a planned delivery."""
    ident: str = accepted.answer["deliveries"][position]["id"]
    return ident


async def drain(rt: Runtime) -> int:
    """Work on everything that is due, fall-backs too, as a polling worker does; return the calls made."""
    calls = 0
    for _ in range(20):
        due = [one for lane in Lane for one in await upkeep.due_now(rt, lane, limit=500)]
        if not due:
            break
        calls += await deliver.deliver(rt, due)
    return calls


async def report(rt: Runtime, accepted: Accepted, caller: Caller = CALLER) -> dict[str, Any]:
    """Return the report on a notification."""
    return dict(await reports.notification(rt, caller, accepted.id))


async def states(rt: Runtime, accepted: Accepted, caller: Caller = CALLER) -> list[tuple[str, str, str | None]]:
    """Return (channel, state, code) of its deliveries in order."""
    rows = (await report(rt, accepted, caller))["deliveries"]
    return [(one["channel"], one["state"], one["code"]) for one in rows]


async def row(rt: Runtime, delivery: str) -> dict[str, Any]:
    """Return a delivery's row."""
    async with rt.db.read() as conn:
        found = (await conn.execute(select(deliveries).where(deliveries.c.id == delivery))).mappings().one()
        return dict(found)


async def rewrite(rt: Runtime, delivery: str, **columns: Any) -> None:
    """Put a delivery's row into a state, as a crash would have left it."""
    async with rt.db.write() as conn:
        await conn.execute(update(deliveries).where(deliveries.c.id == delivery).values(**columns))


def adapter(rt: Runtime, account: str) -> Kept:
    """Return the adapter of an account."""
    found = rt.accounts[account].adapter
    assert isinstance(found, Kept)
    return found


def taken(rt: Runtime) -> list[tuple[str, str]]:
    """Return (account, delivery) of everything that went out."""
    return [(name, one.key) for name in rt.accounts for one in adapter(rt, name).taken]
