"""E-mail beyond the conformance suite: phases, connections, logins, headers (B-E2 to B-E7)."""

from __future__ import annotations

import asyncio
import email
import email.policy
import inspect
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import aiosmtplib.errors
import pytest
from aiosmtpd import smtp as aiosmtpd_server
from aiosmtpd.smtp import AuthResult, Envelope
from pydantic import ValidationError

from channels.conformance.bench import KEY, NOW, StillClock
from channels.conformance.certificates import server_context
from channels.email_smtp import EmailSmtp, translate
from channels.kit.contract import Format, Message
from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Misconfigured,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Unsupported,
)
from channels.kit.smtp_replies import Phase
from gateway.egress import Http
from tests.channels.smtp_standin import DROP, HALF, HANG, PASSWORD, RESET, USER, SmtpStandin, ca_file


def made(options: dict[str, Any], clock: StillClock | None = None) -> EmailSmtp:
    """Return the adapter."""
    return EmailSmtp(EmailSmtp.Options(**options), http=Http(), clock=clock or StillClock())


@asynccontextmanager
async def relay(
    script: dict[str, str] | None = None, *, server: SmtpStandin | None = None, **changed: Any
) -> AsyncIterator[tuple[EmailSmtp, SmtpStandin]]:
    """Run a scripted relay and the adapter against it."""
    standin = server or SmtpStandin(script)
    await standin.start()
    adapter = made({**standin.options(), **changed})
    try:
        yield adapter, standin
    finally:
        await adapter.close()
        await standin.close()


def mail(adapter: EmailSmtp, key: str = KEY, to: str = "anna@post.example", **changed: Any) -> Any:
    """Return an encoded mail."""
    looks = {Format.TEXT: "Grüße", Format.HTML: '<html lang="de"><body>Grüße</body></html>'}
    said = Message(**{"looks": looks, "subject": "Neue Nachricht", "sent_at": NOW, **changed})
    return adapter.encode(said, adapter.address_of(to), key=key)


def parsed(content: bytes) -> EmailMessage:
    """Return the mail as a mail program reads it."""
    return email.message_from_bytes(content, policy=email.policy.default)


# script, class, our word, committed by the relay
PHASES = [
    ({"rcpt": DROP}, Unavailable, "not_reached", 0),
    ({"rcpt": HANG}, Unavailable, "not_reached", 0),
    ({"mail": RESET}, Unavailable, "not_reached", 0),
    ({"rcpt": "550 5.1.1 <anna@post.example>: unknown"}, AddressRefused, "no_such_mailbox", 0),
    ({"rcpt": "550 5.1.1 no", "rset": HANG}, AddressRefused, "no_such_mailbox", 0),  # the definite answer counts
    ({"data": "451 4.3.0 later"}, Unavailable, "not_now", 0),
    ({"data": DROP}, Uncertain, "uncertain", 0),  # nobody can tell it from a drop after the dot
    ({"dot": "554 5.7.1 spam"}, ContentRefused, "policy", 0),
    ({"dot": "452 4.3.1 disk full"}, Unavailable, "not_now", 0),
    ({"dot": DROP}, Uncertain, "uncertain", 1),
    ({"dot": HANG}, Uncertain, "uncertain", 1),
    ({"dot": RESET}, Uncertain, "uncertain", 1),
    ({"dot": HALF}, Uncertain, "uncertain", 1),
    ({"dot": "nonsense"}, Uncertain, "uncertain", 1),
    ({"greeting": "554 5.7.1 go away"}, Misconfigured, "relay_refuses_us", 0),
    ({"greeting": "421 4.7.0 too many connections"}, Throttled, "throttled", 0),
    ({"greeting": DROP}, Unavailable, "not_reached", 0),
    ({"ehlo": "502 5.5.1 no"}, None, "", 1),
    ({"auth": "535 5.7.8 no"}, Misconfigured, "credentials", 0),
    ({"auth": "454 4.7.0 later"}, Unavailable, "not_now", 0),
    ({"mail": "530 5.7.0 Authentication required"}, Misconfigured, "credentials", 0),
    ({"mail": "553 5.7.1 From not allowed"}, Misconfigured, "sender", 0),
    ({"mail": "552 5.3.4 too big"}, ContentRefused, "too_large", 0),
    ({"mail": "451 4.3.0 later"}, Unavailable, "not_now", 0),
    ({"rcpt": "554 5.7.1 <anna@post.example>: Relay access denied"}, Misconfigured, "relay_denied", 0),
    (
        {"rcpt": "554 5.7.1 <a@b.example>: Recipient address rejected: Access denied"},
        Misconfigured,
        "relay_denied",
        0,
    ),
    ({"rcpt": "550 relaying denied"}, Misconfigured, "relay_denied", 0),
    ({"rcpt": "550 5.1.1 <anna@relay.example>: no relay for unknown"}, AddressRefused, "no_such_mailbox", 0),
    ({"rcpt": "550 5.7.1 <relay@post.example>: blocked"}, Refused, "policy", 0),
    ({"rcpt": "550 5.1.10 null MX"}, AddressRefused, "no_such_mailbox", 0),
    ({"rcpt": "550 5.2.1 disabled"}, AddressRefused, "mailbox_disabled", 0),
    ({"rcpt": "552 5.2.2 full"}, Unavailable, "mailbox_full", 0),
    ({"rcpt": "452 4.2.2 full"}, Unavailable, "mailbox_full", 0),
    ({"rcpt": "451 4.7.1 greylisted"}, Unavailable, "greylisted", 0),
    ({"rcpt": "450 4.7.1 rate limit"}, Throttled, "throttled", 0),
    ({"rcpt": "550 5.4.4 no such domain"}, Refused, "no_such_domain", 0),
    ({"rcpt": "550 no"}, Refused, "unknown_reply", 0),
    ({"rcpt": "530 5.7.0 log in"}, Misconfigured, "credentials", 0),
    ({"dot": "550 5.1.1 unknown"}, AddressRefused, "no_such_mailbox", 0),
    ({"dot": "554 5.6.0 content"}, ContentRefused, "content", 0),
    ({"dot": "552 5.3.4 too big"}, ContentRefused, "too_large", 0),
    ({"dot": "554 no"}, Refused, "unknown_reply", 0),
    ({"rset": DROP, "quit": "500 what?"}, None, "", 1),
]


@pytest.mark.parametrize(("script", "expected", "word", "committed"), PHASES)
async def test_phases(script: dict[str, str], expected: type[ChannelError] | None, word: str, committed: int):
    """B-E6: what the relay does in each phase decides the class, and whatever it may have taken is Uncertain."""
    async with relay(script, deadline_s=0.8) as (adapter, standin):
        if expected is None:
            await adapter.send(mail(adapter))
        else:
            with pytest.raises(ChannelError) as caught:
                await adapter.send(mail(adapter))
            assert (type(caught.value), caught.value.code) == (expected, word)
        assert standin.committed == committed
        assert committed == 0 or expected in (None, Uncertain)


SDK: dict[type[aiosmtplib.SMTPException], tuple[tuple[Any, ...], dict[Phase, type[ChannelError]]]] = {
    aiosmtplib.SMTPException: (("no AUTH",), {Phase.CONNECT: Misconfigured, Phase.DATA: Uncertain}),
    aiosmtplib.SMTPServerDisconnected: (("x",), {Phase.RCPT: Unavailable, Phase.DATA: Uncertain}),
    aiosmtplib.SMTPConnectError: (("x",), {Phase.CONNECT: Unavailable}),
    aiosmtplib.SMTPConnectTimeoutError: (("x",), {Phase.CONNECT: Unavailable}),
    aiosmtplib.SMTPConnectResponseError: ((554, "5.7.1 no"), {Phase.CONNECT: Misconfigured}),
    aiosmtplib.SMTPTimeoutError: (("x",), {Phase.MAIL: Unavailable, Phase.DATA: Uncertain}),
    aiosmtplib.SMTPReadTimeoutError: (("x",), {Phase.RCPT: Unavailable, Phase.DATA: Uncertain}),
    aiosmtplib.SMTPNotSupported: (("x",), {Phase.MAIL: ContentRefused}),
    aiosmtplib.SMTPRecipientsRefused: (
        ([aiosmtplib.SMTPRecipientRefused(550, "5.1.1 no", "a@b.de")],),
        {Phase.RCPT: AddressRefused},
    ),
    aiosmtplib.SMTPResponseException: ((-1, "what?"), {Phase.RCPT: Unavailable, Phase.DATA: Uncertain}),
    aiosmtplib.SMTPHeloError: ((502, "no"), {Phase.CONNECT: Misconfigured}),
    aiosmtplib.SMTPAuthenticationError: ((535, "5.7.8 no"), {Phase.CONNECT: Misconfigured}),
    aiosmtplib.SMTPSenderRefused: ((553, "5.7.1 no", "a@b.de"), {Phase.MAIL: Misconfigured}),
    aiosmtplib.SMTPRecipientRefused: ((550, "5.1.1 no", "a@b.de"), {Phase.RCPT: AddressRefused}),
    aiosmtplib.SMTPDataError: ((554, "5.6.0 no"), {Phase.DATA: ContentRefused}),
}
OTHERS = [
    (ssl.SSLCertVerificationError("x"), Phase.CONNECT, Misconfigured),
    (TimeoutError(), Phase.CONNECT, Unavailable),
    (TimeoutError(), Phase.DATA, Uncertain),
    (ConnectionResetError(), Phase.RCPT, Unavailable),
    (ValueError("x"), Phase.MAIL, ContentRefused),
    (RuntimeError("x"), Phase.CONNECT, Misconfigured),
    (RuntimeError("x"), Phase.DATA, Uncertain),
    (ssl.SSLError("x"), Phase.DATA, Uncertain),
]


def test_every_exception_of_the_sdk_is_known():
    """A new exception class of the SDK must get a row here, and each becomes exactly its class in each phase."""
    classes = {one for _, one in inspect.getmembers(aiosmtplib.errors, inspect.isclass)}
    assert {one for one in classes if issubclass(one, aiosmtplib.SMTPException)} == set(SDK)
    for cls, (arguments, phases) in SDK.items():
        for phase, expected in phases.items():
            assert type(translate(cls(*arguments), phase)) is expected, (cls, phase)
    for exc, phase, expected in OTHERS:
        assert type(translate(exc, phase)) is expected, (exc, phase)


async def test_connections_are_kept_and_owned():
    """Many mails at once share a few connections, each with one envelope at a time; a refusal does not cost one."""
    async with relay(connections=3) as (adapter, standin):
        for _ in range(2):
            await asyncio.gather(*[adapter.send(mail(adapter, key=f"k{one}")) for one in range(30)])
        assert (standin.committed, standin.connections, standin.logins) == (60, 3, 3)
        standin.script = {"rcpt": "550 5.1.1 no"}
        with pytest.raises(AddressRefused):
            await adapter.send(mail(adapter))
        standin.script = {}
        await adapter.send(mail(adapter))
        assert (standin.committed, standin.connections) == (61, 3)
        assert "RSET" in standin.lines


async def test_a_connection_that_the_relay_closed_is_replaced():
    """An idle connection that is gone costs a new one, not a message."""
    async with relay(connections=1) as (adapter, standin):
        await adapter.send(mail(adapter))
        standin.script = {"rset": DROP}
        adapter._pool._resting = [(smtp, since - 6.0, dirty) for smtp, since, dirty in adapter._pool._resting]
        await adapter.send(mail(adapter))
        assert (standin.committed, standin.connections) == (2, 2)


async def test_a_refused_login_is_tried_once():
    """One wrong password is one failed login, however many mails wait and however many mechanisms are offered."""
    async with relay(password="falsch", connections=8) as (adapter, standin):
        ends = await asyncio.gather(*[adapter.send(mail(adapter)) for _ in range(20)], return_exceptions=True)
        assert {type(one) for one in ends} == {Misconfigured}
        assert {one.provider_code for one in ends} == {"535 5.7.8"}
        assert (standin.logins, standin.connections) == (1, 1)
        assert not (await adapter.probe()).ok
        assert standin.logins == 2


async def test_a_probe_ends_the_pause():
    """After the operator has acted, one good probe lets mails through again."""
    async with relay({"auth": "535 5.7.8 no"}) as (adapter, standin):
        with pytest.raises(Misconfigured):
            await adapter.send(mail(adapter))
        standin.script = {}
        with pytest.raises(Misconfigured):
            await adapter.send(mail(adapter))
        assert (await adapter.probe()).ok
        await adapter.send(mail(adapter))
        assert standin.committed == 1


async def test_nothing_is_said_in_clear():
    """Where STARTTLS was stripped, or AUTH is not offered, no credentials and no mail are sent."""
    for server in (SmtpStandin(starttls=False), SmtpStandin()):
        server.mechanisms = ""
        async with relay(server=server) as (adapter, standin):
            with pytest.raises(Misconfigured, match="not_offered"):
                await adapter.send(mail(adapter))
            assert not {"AUTH", "MAIL"} & {line.partition(" ")[0] for line in standin.lines}


@pytest.mark.parametrize("implicit", [True, False])
async def test_certificates_are_verified(*, implicit: bool):
    """Both TLS modes work with the right authority; with another one the account is at fault, not the relay."""
    async with relay(server=SmtpStandin(implicit=implicit)) as (adapter, standin):
        await adapter.send(mail(adapter))
        stranger = made({**standin.options(), "ca_file": None})
        with pytest.raises(Misconfigured, match="certificate"):
            await stranger.send(mail(stranger))
        wrong_name = made({**standin.options(), "host": "localhost.localdomain"})
        with pytest.raises((Misconfigured, Unavailable)):
            await wrong_name.send(mail(wrong_name))
        assert standin.committed == 1


async def test_headers():
    """B-E2, B-E3, B-E4, B-E7: one recipient, stable Message-ID, no auto-replies, one-click stop, parts, language."""
    stop = "https://info.mtk.example/abmelden/abc"
    async with relay(reply_to="team@mtk.example", envelope_sender="b@mtk.example") as (adapter, standin):
        first = mail(adapter, stop_url=stop, language="de-x-leicht", subject="Ihr Termin: Änderung")
        taken = await adapter.send(first)
    read = parsed(first.content)
    assert {name: read[name] for name in ("From", "To", "Reply-To", "Message-ID", "Auto-Submitted")} == {
        "From": "MTK-Info <amt@mtk.example>",
        "To": "anna@post.example",
        "Reply-To": "team@mtk.example",
        "Message-ID": f"<{KEY}@mtk.example>",
        "Auto-Submitted": "auto-generated",
    }
    assert read["Subject"] == "Ihr Termin: Änderung"
    assert read["List-Unsubscribe"] == f"<{stop}>"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert read["Date"].datetime == NOW
    parts = [(one.get_content_type(), one["Content-Language"]) for one in read.iter_parts()]
    assert parts == [("text/plain", "de-x-leicht"), ("text/html", "de-x-leicht")]
    assert taken.provider_id == f"{KEY}@mtk.example"
    assert "MAIL FROM:<b@mtk.example> SIZE=" in "".join(standin.lines)
    assert standin.lines.count("RCPT TO:<anna@post.example>") == 1


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"subject": "a\r\nBcc: otto@post.example"}, "subject"),
        ({"subject": "a\nb"}, "subject"),
        ({"stop_url": "https://a.example/\r\nX: y"}, "stop_url"),
        ({"language": "de\r\nX: y"}, "language"),
        ({"key": "a>\r\nX: y"}, "key"),
        ({"looks": {Format.TEXT: "x", Format.HTML: "x" * 102_401}}, "text"),
    ],
)
def test_what_cannot_be_a_mail(changed: dict[str, Any], field: str):
    """Header injection and over-long parts are refused by name before anything is sent."""
    adapter = made(SmtpStandin().options())
    with pytest.raises(Unsupported) as caught:
        mail(adapter, **changed)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "changed",
    [
        {"tls": "none"},
        {"tls": "opportunistic"},
        {"sender": ""},
        {"sender": "a@b.de\r\nX: y"},
        {"sender_name": "a\r\nX: y"},
        {"password": None},
        {"username": ""},
        {"connections": 0},
    ],
)
def test_settings_that_stop_the_start(changed: dict[str, Any]):
    """There is no way to ask for mail without TLS, without a sender, or with half of the credentials."""
    with pytest.raises((ValidationError, Unsupported)):
        made({**SmtpStandin().options(), **changed})


class Kept:
    """An aiosmtpd server's memory."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: ARG002, N802  # aiosmtpd's interface
        """Keep the envelope."""
        self.envelopes.append(envelope)
        return "250 ok"


@asynccontextmanager
async def another_server(kept: Kept) -> AsyncIterator[int]:
    """Run aiosmtpd, an independent server, with STARTTLS and AUTH required; yield its port."""

    def check(server: object, session: object, envelope: object, mechanism: str, login: Any) -> AuthResult:  # noqa: ARG001  # aiosmtpd's interface
        return AuthResult(success=(login.login, login.password) == (USER.encode(), PASSWORD.encode()))

    def served() -> aiosmtpd_server.SMTP:
        demands = {"require_starttls": True, "auth_required": True, "authenticator": check}
        return aiosmtpd_server.SMTP(kept, hostname="127.0.0.1", tls_context=server_context(), **demands)

    server = await asyncio.get_running_loop().create_server(served, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:aiosmtpd")
async def test_an_independent_server_agrees():
    """What our stand-in accepts, aiosmtpd accepts too: STARTTLS, AUTH, envelope and content."""
    kept = Kept()
    async with another_server(kept) as port:
        adapter = made({**SmtpStandin().options(), "port": port, "ca_file": ca_file()})
        assert (await adapter.probe()).ok
        for one in range(3):
            await adapter.send(mail(adapter, key=f"k{one}"))
        await adapter.close()
    assert [one.rcpt_tos for one in kept.envelopes] == [["anna@post.example"]] * 3
    assert parsed(kept.envelopes[0].original_content).get_body(("plain",)).get_content() == "Grüße"
