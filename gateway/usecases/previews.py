"""Preview and cancel a notification: what would go out, rendered by the sending code; and calling it off in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.kit.contract import Capabilities, Message
from gateway.domain.confidentiality import BlockedByLint
from gateway.domain.content import choose_language, language_tag
from gateway.domain.errors import NotFound
from gateway.domain.model import Planned, Recipient
from gateway.domain.planning import plan
from gateway.domain.reasons import explain
from gateway.domain.states import State
from gateway.render.render import Links
from gateway.store import deliveries, notifications, people
from gateway.store.rows import Change
from gateway.usecases import recipients, record, reports
from gateway.usecases.accept import explained
from gateway.usecases.checking import Checked, check
from gateway.usecases.runtime import SIMULATOR, Runtime
from gateway.usecases.shapes import Caller, Posted, Preview
from gateway.usecases.stopping import stop_url
from gateway.usecases.texts import approved


async def preview(rt: Runtime, caller: Caller, posted: Posted) -> Preview:
    """Return the plan and each channel's rendered message for a known recipient; nothing is stored.

    A request that states a recipient is planned with the stored one: stating stores nothing either.
    """
    now = rt.clock.now()
    async with rt.db.read() as conn:
        texts = await approved(rt, conn, [posted.template])
        one = check(rt, texts, caller, posted, now=now)
        person = (await people.persons(conn, [one.recipient.id])).get(one.recipient.id)
        ids = [one.pinned.version.id, *([one.pinned.twin.id] if one.pinned.twin else [])]
        contents = await rt.contents.of(conn, ids)
    if person is None:
        raise recipients.unknown()
    planned = plan(
        version=one.pinned.version,
        twin=one.pinned.twin,
        recipient=person.recipient,
        accounts=one.accounts,
        wanted=posted.channels,
    )
    shown = [_shown(rt, one, person.recipient, delivery, contents) for delivery in planned.deliveries]
    return Preview(deliveries=shown, skipped=explained(planned))


def _shown(
    rt: Runtime, one: Checked, recipient: Recipient, delivery: Planned, contents: Mapping[str, Any]
) -> Mapping[str, Any]:
    content = contents[delivery.version]
    language, fell_back = choose_language(content, recipient.language)
    facts: dict[str, Any] = {
        "channel": delivery.channel,
        "account": delivery.account,
        "template": content.key,
        "twin": delivery.twin,
        "language": language_tag(language),
        "language_fell_back": fell_back,
        "message": None,
        "problem": None,
    }
    values = {name: one.values.get(name, rt.policy.portal_url) for name in content.variables}
    ident = rt.ids.new()
    account = rt.accounts.get(delivery.account)
    try:
        message = rt.renderer.render(
            version_id=delivery.version,
            content=content,
            capabilities=_capabilities(rt, delivery),
            language=language,
            variables=values,
            delivery_id=ident,
            links=Links(stop_url=stop_url(rt, ident)),
            sent_at=one.now,
            valid_s=max(int((one.expires_at - one.now).total_seconds()), 1),
            approved_id=account.approved.get(f"{content.key}.{language}", "") if account else "",
        )
    except BlockedByLint as exc:
        return facts | {"problem": {"code": exc.code, "explanation": explain(exc.code)}}
    return facts | {"message": _message(message)}


def _capabilities(rt: Runtime, delivery: Planned) -> Capabilities:
    if delivery.account == SIMULATOR:
        return rt.kinds[delivery.channel]
    return rt.accounts[delivery.account].adapter.capabilities


def _message(message: Message) -> Mapping[str, Any]:
    return {
        "subject": message.subject,
        "looks": {look.value: text for look, text in message.looks.items()},
        "buttons": [button.label for button in message.buttons],
        "direction": message.direction,
    }


async def cancel(rt: Runtime, caller: Caller, ident: str) -> Mapping[str, Any]:
    """Call a notification off as far as nothing has left yet, and return its report. May be repeated."""
    now = rt.clock.now()
    async with rt.db.write() as conn:
        row = await notifications.one(conn, ident)
        if row is None or row["client_id"] != caller.client_id:
            raise NotFound("There is no notification with this id, or it is not yours.")
        await deliveries.lock_queued(conn, ident)
        if await notifications.cancel(conn, ident, now=now):
            family = (await deliveries.siblings(conn, [ident])).get(ident, [])
            changes = [
                Change(
                    id=one.id, notification_id=ident, old=State.QUEUED, new=State.CANCELLED, code="cancelled", at=now
                )
                for one in family
                if one.state is State.QUEUED
            ]
            await notifications.note(
                conn,
                [{"notification_id": ident, "delivery_id": None, "at": now, "event": "cancel_asked", "code": None}],
            )
            await record.apply_within(rt, conn, changes)
    return await reports.notification(rt, caller, ident)
