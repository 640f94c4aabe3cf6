"""Bounces end to end: a real conversation over LMTP or SMTP, and what the tables then say (B-E3, B-E5)."""

from __future__ import annotations

import asyncio
import os
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from channels.email_smtp import EmailSmtp
from channels.kit.contract import Confidentiality
from gateway.bounces import MAX_MAIL_BYTES, receiving
from gateway.domain.model import Account
from gateway.egress import Http
from gateway.processes import bind
from gateway.store.engine import Database, StoreAway
from gateway.store.tables import metadata, receipts
from gateway.store.vault import Vault
from gateway.usecases import accept, upkeep
from gateway.usecases.runtime import OpenAccount, Runtime
from gateway.usecases.shapes import Accepted
from tests.channels.smtp_standin import SmtpStandin
from tests.support import runtime
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, drain, first, person, posted, report, row, states
from tests.support.waiting import wait_until

SECRET = "kanarien-verp-secret-0123456789ab"
MAILS = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "channels" / "dsn").glob("*.eml")}
UNKNOWN = MAILS["postfix_unknown"]


@pytest_asyncio.fixture
async def relay() -> AsyncIterator[SmtpStandin]:
    """Run a relay that takes every mail."""
    standin = SmtpStandin()
    await standin.start()
    yield standin
    await standin.close()


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock, relay: SmtpStandin) -> AsyncIterator[Runtime]:
    """Lend a Runtime whose e-mail account is the real adapter; ``P-1`` takes e-mail, else SMS."""
    options = {**relay.options(), "bounce_domain": "bounce.mtk.example", "verp_secret": SECRET}
    adapter = EmailSmtp(EmailSmtp.Options(**options), http=Http(), clock=clock)
    accounts = runtime.open_accounts(clock)
    accounts["mail"] = OpenAccount(facts=Account("mail", "email", Confidentiality.K2), adapter=adapter)
    async with runtime.open_runtime(db, vault, clock, accounts=accounts) as opened:
        await runtime.publish(opened)
        await runtime.put(opened, person("P-1", ("email", "sms")))
        yield opened
    await adapter.close()


@asynccontextmanager
async def door(rt: Runtime) -> AsyncIterator[int]:
    """Run the receiver and lend its port."""
    sock = bind("127.0.0.1:0")
    async with receiving(rt, sock):
        yield sock.getsockname()[1]


async def bring(
    port: int, to: str, raw: bytes, *, kind: type[smtplib.SMTP] = smtplib.LMTP, sender: str = ""
) -> tuple[int, bytes]:
    """Hand a mail over as a relay does, and return the answer to the recipient, or to the mail."""

    def talk() -> tuple[int, bytes]:
        with kind("127.0.0.1", port, timeout=10) as smtp:
            smtp.ehlo_or_helo_if_needed()
            smtp.mail(sender)
            answer = smtp.rcpt(to)
            return smtp.data(raw) if answer[0] == 250 else answer

    return await asyncio.to_thread(talk)


async def sent(rt: Runtime, relay: SmtpStandin, **given: Any) -> tuple[Accepted, str]:
    """Post one notification, let its mail go out, and return it with the return address that the relay saw."""
    done = await accept.accept(rt, CALLER, posted(**given))
    await drain(rt)
    [*_, line] = [line for line in relay.lines if line.startswith("MAIL FROM:")]
    return done, line.partition("<")[2].partition(">")[0]


async def kept(rt: Runtime) -> list[tuple[str | None, str, str]]:
    """Return (delivery, fact, provider's code) of every receipt."""
    async with rt.db.read() as conn:
        found = await conn.execute(select(receipts.c.delivery_id, receipts.c.fact, receipts.c.provider_code))
        return [tuple(one) for one in found]


@pytest.mark.parametrize("kind", [smtplib.LMTP, smtplib.SMTP])
async def test_a_late_bounce_fails_suppresses_and_promotes(
    rt: Runtime, relay: SmtpStandin, clock: ManualClock, kind: type[smtplib.SMTP]
):
    """Hours after the relay took it the mail comes back: the next channel goes, and the timeline tells all of it."""
    done, address = await sent(rt, relay)
    assert await states(rt, done) == [("email", "submitted", None), ("sms", "queued", None)]
    clock.advance(3 * 3600)
    async with door(rt) as port:
        assert await bring(port, address, UNKNOWN, kind=kind) == (250, b"2.0.0 Ok")
    assert await drain(rt) == 1
    assert await states(rt, done) == [("email", "failed", "no_such_mailbox"), ("sms", "submitted", None)]
    told = [(one["event"], one["code"]) for one in (await report(rt, done))["timeline"]]
    assert ("failed", "no_such_mailbox") in told
    assert told[-1][0] == "submitted"
    later = await accept.accept(rt, CALLER, posted())
    assert {one["channel"]: one["reason"] for one in later.answer["skipped"]}["email"] == "contact_point_suppressed"


async def test_the_same_bounce_twice_is_harmless(rt: Runtime, relay: SmtpStandin):
    """The relay did not hear our 250 and brings the mail again: it is taken, and nothing happens a second time."""
    done, address = await sent(rt, relay)
    async with door(rt) as port:
        answers = [await bring(port, address, b"Received: again\r\n" * n + UNKNOWN) for n in range(3)]
    assert {code for code, _ in answers} == {250}
    await drain(rt)
    assert await kept(rt) == [(first(done), "failed", "550 5.1.1")]
    events = [one["event"] for one in (await report(rt, done))["timeline"]]
    assert (events.count("failed"), events.count("submitted")) == (1, 2)


@pytest.mark.parametrize("name", ["gmail_full_en", "webde_spam_de", "gmx_unknown_de"])
async def test_a_soft_or_unclear_bounce_spares_the_address(rt: Runtime, relay: SmtpStandin, name: str):
    """A full mailbox and a policy are no fault of the address: the next channel goes, the address stays in use."""
    done, address = await sent(rt, relay)
    async with door(rt) as port:
        await bring(port, address, MAILS[name])
    await drain(rt)
    assert [state for _, state, _ in await states(rt, done)] == ["failed", "submitted"]
    later = await accept.accept(rt, CALLER, posted())
    assert "email" not in {one["channel"] for one in later.answer["skipped"]}


async def test_a_refused_text_stops_the_next_channel_too(rt: Runtime, relay: SmtpStandin):
    """What came back for its content is the author's to mend."""
    done, address = await sent(rt, relay)
    async with door(rt) as port:
        await bring(port, address, MAILS["domino_content_de"])
    assert await states(rt, done) == [("email", "failed", "content"), ("sms", "skipped", "stopped_content")]


@pytest.mark.parametrize("name", ["postfix_delayed", "vacation_de", "answer_of_a_person_de", "speaks_of_nobody_en"])
async def test_what_is_no_bounce_is_taken_and_changes_nothing(rt: Runtime, relay: SmtpStandin, name: str):
    """B-E3: never answered, never bounced back, never kept."""
    done, address = await sent(rt, relay)
    async with door(rt) as port:
        sender = "" if name in {"postfix_delayed", "vacation_de"} else "wachtel@post.example"
        assert (await bring(port, address, MAILS[name], sender=sender))[0] == 250
    assert await states(rt, done) == [("email", "submitted", None), ("sms", "queued", None)]
    assert await kept(rt) == []


async def test_a_bounce_in_no_standard_form_is_seen_by_its_empty_sender(rt: Runtime, relay: SmtpStandin):
    """The relay names the sender in the envelope only; we are the last hop, and note it for the reader."""
    done, address = await sent(rt, relay)
    raw = b"\r\n".join(
        line for line in MAILS["qmail_plain_en"].splitlines() if not line.startswith((b"Return", b"From"))
    )
    async with door(rt) as port:
        await bring(port, address, raw, sender="somebody@post.example")
        assert (await states(rt, done))[0] == ("email", "submitted", None)
        await bring(port, address, raw)
    assert (await states(rt, done))[0] == ("email", "failed", "returned")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda address: address.replace("@", "x@", 1),
        lambda address: address.replace("b+0", "b+1", 1),
        lambda address: "b+@" + address.partition("@")[2],
        lambda _: "postmaster@bounce.mtk.example",
        lambda _: "amt@mtk.example",
    ],
)
async def test_an_address_that_we_did_not_make_is_refused_at_the_door(
    rt: Runtime, relay: SmtpStandin, spoil: Callable[[str], str]
):
    """A forged tag, another delivery, another mailbox: 550 before the mail, so the relay can refuse it as well."""
    done, address = await sent(rt, relay)
    async with door(rt) as port:
        assert await bring(port, spoil(address), UNKNOWN) == (550, b"5.1.1 no such return address")
    assert (await states(rt, done))[0] == ("email", "submitted", None)
    assert await kept(rt) == []


async def test_a_bounce_of_a_delivery_that_we_do_not_know_is_kept(rt: Runtime, relay: SmtpStandin):
    """It waits for its delivery as every receipt does (a restored backup may be older than the mail)."""
    done, address = await sent(rt, relay)
    table = metadata.tables["deliveries"]
    async with rt.db.write() as conn:
        await conn.execute(table.update().where(table.c.id == first(done)).values(account="-", provider_id="-"))
    async with door(rt) as port:
        assert (await bring(port, address, UNKNOWN))[0] == 250
    assert await kept(rt) == [(None, "failed", "550 5.1.1")]
    async with rt.db.write() as conn:
        back = {"account": "mail", "provider_id": f"{first(done)}@mtk.example"}
        await conn.execute(table.update().where(table.c.id == first(done)).values(**back))
    assert await upkeep.sweep(rt) >= 1
    assert (await row(rt, first(done)))["state"] == "failed"


async def test_250_is_said_after_the_commit_only(rt: Runtime, relay: SmtpStandin, monkeypatch: pytest.MonkeyPatch):
    """The store is away: 451, and the relay keeps the mail; an unexpected error is no excuse to lose it either."""
    done, address = await sent(rt, relay)
    real, errors = Database.write, [StoreAway("away"), RuntimeError("zaunkoenig@post.example")]

    def write(db: Database) -> Any:
        if errors:
            raise errors.pop(0)
        return real(db)

    monkeypatch.setattr(Database, "write", write)
    async with door(rt) as port:
        codes = [(await bring(port, address, UNKNOWN))[0] for _ in range(3)]
    assert codes == [451, 451, 250]
    assert (await states(rt, done))[0] == ("email", "failed", "no_such_mailbox")


async def test_a_mail_has_one_recipient_and_a_largest_size(rt: Runtime, relay: SmtpStandin):
    """Each answer of LMTP stands for one recipient; what is too big is said before it is brought."""
    _, address = await sent(rt, relay)

    def talk(port: int) -> list[int]:
        with smtplib.LMTP("127.0.0.1", port, timeout=10) as smtp:
            smtp.ehlo_or_helo_if_needed()
            assert smtp.esmtp_features["size"] == str(MAX_MAIL_BYTES)
            assert {"pipelining", "enhancedstatuscodes", "8bitmime"} <= set(smtp.esmtp_features)
            too_big = smtp.mail("", [f"SIZE={MAX_MAIL_BYTES + 1}"])[0]
            smtp.mail("")
            return [too_big, smtp.rcpt(address)[0], smtp.rcpt(address)[0], smtp.data(UNKNOWN)[0], smtp.data(b"")[0]]

    async with door(rt) as port:
        with pytest.raises(smtplib.SMTPDataError, match="503"):
            await asyncio.to_thread(talk, port)


async def test_nothing_of_a_bounce_is_logged_or_kept(
    rt: Runtime, relay: SmtpStandin, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    """Bounces quote addresses and whole mails: neither the log nor any table has a word of them."""
    caplog.set_level(0)
    _, address = await sent(rt, relay)
    async with door(rt) as port:
        for name in ("postfix_unknown", "speaks_of_nobody_en", "qmail_plain_en"):
            await bring(port, address, MAILS[name])
        await bring(port, "zaunkoenig@post.example", UNKNOWN)
        await bring(port, address.replace("@", "x@"), UNKNOWN)
    said = caplog.text + "".join(capfd.readouterr())
    assert "bounce.taken" in said
    async with rt.db.read() as conn:
        rows = [repr(tuple(line)) for table in metadata.sorted_tables for line in await conn.execute(select(table))]
    for word in ("zaunkoenig", "elster", "relay.example", "User unknown", "b+0", "mailbox here"):
        assert word not in said
        assert not [line for line in rows if word in line]


async def test_a_relay_that_hangs_up_or_stays_leaves_nothing_behind(rt: Runtime, relay: SmtpStandin):
    """An open conversation does not keep the program from ending, and half a mail is no mail."""
    done, address = await sent(rt, relay)
    async with door(rt) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"LHLO relay\r\nMAIL FROM:<>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode() + UNKNOWN[:200])
        assert b"354" in await asyncio.wait_for(reader.readuntil(b"354"), 5)
    writer.close()
    assert (await states(rt, done))[0] == ("email", "submitted", None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _started(folder: Path, command: str, **settings: str) -> subprocess.Popen[bytes]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | settings
    with (folder / "said").open("ab") as out:
        return subprocess.Popen([sys.executable, "-m", "gateway", command], env=env, stdout=out, stderr=out, cwd=folder)


def _refused(port: int) -> bool:
    try:
        with smtplib.LMTP("127.0.0.1", port, timeout=5) as smtp:
            smtp.ehlo_or_helo_if_needed()
            smtp.mail("")
            return smtp.rcpt("b+x.y@bounce.example")[0] == 550
    except OSError:
        return False


@pytest.mark.parametrize("command", ["up", "bounces"])
async def test_the_receiver_runs_in_up_and_as_its_own_process(tmp_path: Path, command: str):
    """Both answer on the place that is set, and end with status 0 after SIGTERM, a conversation open or not."""
    port = _free_port()
    settings = {"GATEWAY_LISTEN": "127.0.0.1:0", "GATEWAY_BOUNCES_LISTEN": f"127.0.0.1:{port}"}
    process = _started(tmp_path, command, **settings)
    try:
        await wait_until(lambda: process.poll() is not None or _refused(port), 60)
        assert _refused(port), (tmp_path / "said").read_text()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as conn:
            assert conn.recv(3) == b"220"
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait(5)
    assert "Traceback" not in (tmp_path / "said").read_text()


@pytest.mark.parametrize("taken", [False, True])
def test_a_receiver_without_a_place_is_told_where_to_set_it(tmp_path: Path, taken: bool):
    """No place, or one that somebody has: one line with the setting's name, and status 2."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        place = {"GATEWAY_BOUNCES_LISTEN": f"127.0.0.1:{other.getsockname()[1]}"} if taken else {}
        assert _started(tmp_path, "bounces", **place).wait(60) == 2
    said = (tmp_path / "said").read_text()
    assert "GATEWAY_BOUNCES_LISTEN" in said.splitlines()[-1]
    assert "Traceback" not in said
