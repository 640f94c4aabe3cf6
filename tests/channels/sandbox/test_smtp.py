"""The mail relay's stand-in, spoken to by aiosmtplib and by bare sockets."""

from __future__ import annotations

import asyncio
import base64
import ssl
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest

from channels.sandbox.server import Sandbox

TO = "Amira@Post.example"


def mail(key: str = "k1.attempt0") -> EmailMessage:
    """Return a mail with both parts under a key."""
    message = EmailMessage()
    message["From"] = "Kreis <info@kreis.example>"
    message["To"] = TO
    message["Subject"] = "Grüße: تذكير"
    message["Message-ID"] = f"<{key}@kreis.example>"
    message.set_content("Nur Text ☂")
    message.add_alternative("<p>Formatiert ☂</p>", subtype="html")
    return message


def relay(sandbox: Sandbox, **changes: Any) -> aiosmtplib.SMTP:
    """Return a client with everything it needs, and changes to that."""
    facts = sandbox.facts
    options = {
        "hostname": facts.smtp_host,
        "port": facts.smtp_port,
        "start_tls": True,
        "tls_context": ssl.create_default_context(cafile=facts.ca_file),
        "username": facts.smtp_user,
        "password": facts.smtp_password,
        "timeout": 5,
    }
    return aiosmtplib.SMTP(**{**options, **changes})


async def test_a_mail_arrives_with_both_parts_and_its_key(sandbox: Sandbox, control: Any) -> None:
    """A mail sent over STARTTLS with AUTH is in the log, read, under the key of its Message-ID."""
    async with relay(sandbox) as smtp:
        _, said = await smtp.send_message(mail())
    (line,) = await control.get("log?after=0")
    assert (line["channel"], line["to"], line["accepted"], line["code"]) == ("email", TO, True, None)
    assert (line["key"], line["subject"]) == ("k1.attempt0", "Grüße: تذكير")
    assert line["text"].strip() == "Nur Text ☂"
    assert "Formatiert ☂" in line["html"]
    assert line["provider_id"]
    assert line["provider_id"] in said


async def test_a_certificate_of_another_authority_is_not_trusted(sandbox: Sandbox) -> None:
    """The server certificate is signed by the throw-away CA alone: without ca_file there is no connection."""
    with pytest.raises(ssl.SSLCertVerificationError):
        await relay(sandbox, tls_context=ssl.create_default_context()).connect()


async def test_the_certificate_is_good_for_localhost_too(sandbox: Sandbox) -> None:
    """Host names are checked, and both 127.0.0.1 and localhost are in the certificate; another name is not."""
    context = ssl.create_default_context(cafile=sandbox.facts.ca_file)
    for name, good in (("localhost", True), ("mail.example", False)):
        smtp = relay(sandbox, hostname="127.0.0.1", start_tls=False, username=None, password=None)
        await smtp.connect()
        if good:
            await smtp.starttls(server_hostname=name, tls_context=context)
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                await smtp.starttls(server_hostname=name, tls_context=context)
        smtp.close()


async def test_nothing_goes_without_starttls(sandbox: Sandbox) -> None:
    """MAIL and AUTH before STARTTLS are refused with 530."""
    async with relay(sandbox, start_tls=False, username=None, password=None) as smtp:
        with pytest.raises(aiosmtplib.SMTPSenderRefused) as refused:
            await smtp.mail("a@kreis.example")
        assert (refused.value.code, "STARTTLS" in refused.value.message) == (530, True)
        assert not smtp.supports_extension("auth")


async def test_nothing_goes_without_login(sandbox: Sandbox) -> None:
    """MAIL without AUTH is refused with 530, and a wrong password with 535."""
    async with relay(sandbox, username=None, password=None) as smtp:
        with pytest.raises(aiosmtplib.SMTPSenderRefused) as refused:
            await smtp.mail("a@kreis.example")
        assert refused.value.code == 530
    with pytest.raises(aiosmtplib.SMTPAuthenticationError) as wrong:
        await relay(sandbox, password="wrong").connect()
    assert wrong.value.code == 535


async def test_a_refusal_at_rcpt_is_given_once(sandbox: Sandbox, control: Any) -> None:
    """The ordered reply comes at RCPT for that address in any spelling, as often as ordered, and is in the log."""
    await control.rule("email", TO.upper(), {"reply": "550 5.1.1 unknown"}, times=1)
    async with relay(sandbox) as smtp:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
            await smtp.send_message(mail())
        assert [(one.code, one.message) for one in refused.value.recipients] == [(550, "5.1.1 unknown")]
        await smtp.send_message(mail("k2"))
    first, second = await control.get("log?after=0")
    assert (first["accepted"], first["code"], first["status"]) == (False, 550, "failed")
    assert (second["accepted"], second["key"]) == (True, "k2")


async def test_a_refusal_at_data_accepts_nothing(sandbox: Sandbox, control: Any) -> None:
    """With "at": "data" the recipient is taken and the mail refused after its last dot."""
    await control.rule("email", "*", {"reply": "451 4.7.1 greylisted", "at": "data"}, times=1)
    async with relay(sandbox) as smtp:
        with pytest.raises(aiosmtplib.SMTPDataError) as refused:
            await smtp.send_message(mail())
        assert refused.value.code == 451
    assert (await control.get("summary"))["email"]["accepted"] == 0


async def test_421_closes_the_connection(sandbox: Sandbox, control: Any) -> None:
    """After a reply of 421 the server hangs up (RFC 5321, 4.2.2)."""
    await control.rule("email", "*", {"reply": "421 4.3.2 shutting down"})
    smtp = relay(sandbox)
    await smtp.connect()
    await smtp.mail("a@kreis.example")
    with pytest.raises(aiosmtplib.SMTPResponseException):
        await smtp.rcpt("b@post.example")
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await smtp.noop()


async def test_cut_after_accept_takes_the_mail_and_says_nothing(sandbox: Sandbox, control: Any) -> None:
    """The mail is in the log as accepted while the sender only sees the connection break."""
    await control.rule("email", "*", {"fault": "cut_after_accept"})
    smtp = relay(sandbox)
    await smtp.connect()
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await smtp.send_message(mail())
    (line,) = await control.get("log?after=0")
    assert (line["accepted"], line["key"]) == (True, "k1.attempt0")


@pytest.mark.parametrize(
    ("outcome", "seen"),
    [
        ({"fault": "reset"}, aiosmtplib.SMTPServerDisconnected),
        ({"fault": "reset", "at": "data"}, aiosmtplib.SMTPServerDisconnected),
        ({"fault": "hang"}, aiosmtplib.SMTPReadTimeoutError),
    ],
)
async def test_faults_on_the_wire_accept_nothing(
    sandbox: Sandbox, control: Any, outcome: dict[str, str], seen: type[Exception]
) -> None:
    """A reset and a hanging server leave the mail unaccepted, at RCPT and inside DATA."""
    await control.rule("email", "*", outcome)
    smtp = relay(sandbox, timeout=0.4)
    await smtp.connect()
    with pytest.raises(seen):
        await smtp.send_message(mail())
    smtp.close()
    (line,) = await control.get("log?after=0")
    assert (line["accepted"], line["code"]) == (False, outcome["fault"])


async def test_pipelined_commands_are_answered_in_order(sandbox: Sandbox) -> None:
    """PIPELINING is announced and true: MAIL, RCPT and DATA in one packet get their three replies."""
    facts = sandbox.facts
    reader, writer = await asyncio.open_connection(facts.smtp_host, facts.smtp_port)
    await reader.readline()
    writer.write(b"EHLO x\r\n")
    while not (await reader.readline()).startswith(b"250 "):
        pass
    writer.write(b"STARTTLS\r\n")
    await reader.readline()
    await writer.start_tls(ssl.create_default_context(cafile=facts.ca_file), server_hostname="localhost")
    login = base64.b64encode(f"\0{facts.smtp_user}\0{facts.smtp_password}".encode())
    writer.write(b"EHLO x\r\n")
    announced: list[bytes] = []
    while not announced or not announced[-1].startswith(b"250 "):
        announced.append(await reader.readline())
    writer.write(b"AUTH PLAIN " + login + b"\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
    replies = [await reader.readline() for _ in range(4)]
    writer.close()
    assert b"250-PIPELINING\r\n" in announced
    assert [one[:3] for one in replies] == [b"235", b"250", b"250", b"354"]


async def test_an_oversized_mail_is_refused(sandbox: Sandbox) -> None:
    """A mail above the announced SIZE is refused with 552."""
    async with relay(sandbox) as smtp:
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
            await smtp.mail("a@kreis.example", options=["SIZE=10000001"])
    assert refused.value.code == 552
