"""Rows for store tests, written as the verbs write them: sealed and indexed with the given vault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import contact_points, inbound, notifications, recipients, subjects, suppressions
from gateway.store.vault import Vault, inbound_row
from tests.support.clock import START


@dataclass(frozen=True)
class Seeded:
    """What a seeded person looks like in clear."""

    subject: str
    recipient: str
    address: str
    variables: str
    words: str


def person(number: int) -> Seeded:
    """Invent a person; every text is unmistakable in a dump."""
    return Seeded(
        subject=f"subject-{number:04}",
        recipient=f"P-{number:06}",
        address=f"kanarienvogel.{number}@example.org",
        variables=f'{{"vorname": "Zaunkönig-{number}"}}',
        words=f"Rohrdommel {number} schreibt STOPP",
    )


async def seed(conn: AsyncConnection, vault: Vault, one: Seeded, *, suppressed: bool = False) -> None:
    """Write the person with one e-mail address, one notification, and one message they sent."""
    data_key = vault.new_data_key()
    wrapped = vault.seal_data_key(one.subject, data_key)
    known = {"subject": one.subject, "recipient": one.recipient, "data_key_sealed": wrapped, "created_at": START}
    await conn.execute(insert(subjects).values(known))
    language = {"subject": one.subject, "language": "de", "preferred": ["email"], "updated_at": START}
    await conn.execute(insert(recipients).values(language))
    await _contact_point(conn, vault, one, data_key)
    await _notification(conn, vault, one, data_key)
    await _inbound(conn, vault, one)
    if suppressed:
        index = vault.index("email", one.address)
        row = {"channel": "email", "address_index": index, "reason": "opted_out", "since": START}
        await conn.execute(insert(suppressions).values(row))


async def _contact_point(conn: AsyncConnection, vault: Vault, one: Seeded, data_key: bytes) -> None:
    point = f"point-{one.subject}"
    sealed = vault.seal(
        one.address.encode(), table="contact_points", row=point, column="address_sealed", data_key=data_key
    )
    row = {"id": point, "subject": one.subject, "channel": "email", "address_sealed": sealed, "created_at": START}
    await conn.execute(insert(contact_points).values(row | {"address_index": vault.index("email", one.address)}))


async def _notification(conn: AsyncConnection, vault: Vault, one: Seeded, data_key: bytes) -> None:
    row = f"note-{one.subject}"
    sealed = vault.seal(
        one.variables.encode(), table="notifications", row=row, column="variables_sealed", data_key=data_key
    )
    facts = {"client_id": "client", "template_version": "v1", "template_key": "postfach_neu", "purpose": "dienst"}
    more = {"language": "de", "language_fell_back": False, "lane": "normal", "skipped": [], "outcome": "pending"}
    times = {"send_at": START, "expires_at": START + timedelta(days=3), "created_at": START}
    own = {"id": row, "subject": one.subject, "variables_sealed": sealed}
    await conn.execute(insert(notifications).values(own | facts | more | times))


async def _inbound(conn: AsyncConnection, vault: Vault, one: Seeded) -> None:
    place = inbound_row("mail", one.subject)
    texts = {"address_sealed": one.address, "text_sealed": one.words, "payload_sealed": one.words}
    sealed = {
        column: vault.seal(text.encode(), table="inbound", row=place, column=column) for column, text in texts.items()
    }
    row = {"account": "mail", "event_id": one.subject, "channel": "email", "kind": "text", "received_at": START}
    await conn.execute(insert(inbound).values(row | sealed | {"address_index": vault.index("email", one.address)}))
