"""DNS records of the sender domain: what is missing or wrong is named with the record to publish (B-E1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from channels.kit.contract import Confidentiality, Domain
from gateway.domain.model import Account
from gateway.resolver import Resolver
from gateway.usecases.doctor_dns import domains
from gateway.usecases.findings import Finding, Level, Parts
from gateway.usecases.runtime import OpenAccount
from tests.support.clock import ManualClock
from tests.support.names import GOOD, Records, name_server
from tests.support.runtime import Kept, open_accounts

DOMAIN = Domain("example.org", "example.org", "s1")
SPF, DMARC, DKIM = ("example.org", "TXT"), ("_dmarc.example.org", "TXT"), ("s1._domainkey.example.org", "TXT")


def sending(clock: ManualClock, domain: Domain) -> OpenAccount:
    """Return an account whose mails stand on this domain."""
    kept = open_accounts(clock)["mail"].adapter
    assert isinstance(kept, Kept)
    kept.domain = domain  # type: ignore[attr-defined]  # what makes it one that sends from a domain
    return OpenAccount(facts=Account("mail", "email", Confidentiality.K1), adapter=kept)


async def looked(records: Records, domain: Domain = DOMAIN) -> list[Finding]:
    """Examine the domain against a name server with these records."""
    clock = ManualClock()
    async with name_server(records) as server:
        resolver = Resolver([server], timeout_s=2)
        accounts = {"mail": sending(clock, domain)}
        return await domains(Parts(clock=clock, public_url="", folder=Path(), resolver=resolver, accounts=accounts))


async def test_good_records_are_well():
    """SPF, DMARC, DKIM and MX; records in several strings count as one; the preferred exchanger stands first."""
    found = await looked(GOOD)
    assert [one.level for one in found] == [Level.OK] * 4
    assert "mx1.example.org, mx2.example.org" in found[3].told


@pytest.mark.parametrize(
    ("key", "records", "level", "says"),
    [
        (SPF, [], Level.BAD, "no SPF"),
        (SPF, ['"v=spf1 -all"', '"v=spf1 ~all"'], Level.BAD, "2 SPF records"),
        (SPF, ['"v=spf1 a +all"'], Level.BAD, "everybody"),
        (SPF, ['"v=spf1 a all"'], Level.BAD, "everybody"),
        (SPF, ['"v=spf10 -all"'], Level.BAD, "no SPF"),
        (DMARC, [], Level.BAD, "no DMARC"),
        (DMARC, ['"v=DMARC1; p=none"'], Level.WARN, "only watches"),
        (DMARC, ['"v=DMARC1; p=reject"', '"v=DMARC1; p=none"'], Level.BAD, "2 DMARC"),
        (DKIM, [], Level.BAD, "no DKIM key"),
        (DKIM, ['"v=DKIM1; p="'], Level.BAD, "revoked"),
        (("example.org", "MX"), [], Level.WARN, "no MX"),
        (("example.org", "MX"), ["0 ."], Level.WARN, "no MX"),
    ],
)
async def test_what_is_wrong_is_named(key: tuple[str, str], records: list[str], level: Level, says: str):
    """One record is wrong, and exactly one finding says so and what to do."""
    rest = {name: found for name, found in GOOD.items() if name != key}
    wrong = [one for one in await looked(rest | ({key: records} if records else {})) if one.level is not Level.OK]
    assert [one.level for one in wrong] == [level]
    assert says in wrong[0].told
    assert wrong[0].do


async def test_the_return_address_has_its_own_domain():
    """SPF and bounces are looked up where bounces go, DMARC where the mail says it comes from."""
    found = await looked(GOOD, Domain("example.org", "bounce.example.org", "s1"))
    wrong = [one.told for one in found if one.level is not Level.OK]
    assert wrong == ["bounce.example.org: no SPF record", "bounce.example.org: no MX record, bounces cannot come back"]


async def test_without_a_selector_it_says_that_dkim_was_not_checked():
    """What was not looked at is not called well."""
    found = await looked(GOOD, Domain("example.org", "example.org"))
    assert [one.told for one in found if one.level is Level.WARN] == [
        "example.org: DKIM is not checked, no selector is set"
    ]


async def test_silence_is_not_an_answer():
    """Nobody answers: one honest line, and no record is called missing."""
    clock = ManualClock()
    resolver = Resolver(["127.0.0.1:1"], timeout_s=0.3)
    parts = Parts(
        clock=clock, public_url="", folder=Path(), resolver=resolver, accounts={"mail": sending(clock, DOMAIN)}
    )
    (only,) = await domains(parts)
    assert only.level is Level.WARN
    assert only.told.startswith("no resolver answered")
