"""Examine the DNS records that decide whether our mails are believed: SPF, DKIM, DMARC and MX of each sender domain.

It reads no mail and asks nobody but a resolver. RFC 7208 (SPF), 6376 (DKIM), 7489 (DMARC), 5321 (MX).
"""

from __future__ import annotations

import asyncio
import re

from channels.kit.contract import Domain, SendsFromDomain
from gateway.resolver import NoResolver, Resolver
from gateway.usecases.findings import Finding, Parts, bad, ok, warn

TIMEOUT_S = 12.0  # for all records of all domains


async def domains(parts: Parts) -> list[Finding]:
    """Look at the records of every account that sends from a domain."""
    own = [one.adapter.domain for one in parts.accounts.values() if isinstance(one.adapter, SendsFromDomain)]
    found: list[Finding] = []
    try:
        async with asyncio.timeout(TIMEOUT_S):
            for domain in dict.fromkeys(own):
                found += await _records(parts.resolver, domain)
    except (NoResolver, TimeoutError):
        return [*found, warn("dns", "no resolver answered: nothing is known about the records", "ask from elsewhere")]
    return found


async def _records(resolver: Resolver, domain: Domain) -> list[Finding]:
    envelope = domain.envelope
    found = [
        _spf(envelope, await resolver.texts(envelope)),
        _dmarc(domain.sender, await resolver.texts(f"_dmarc.{domain.sender}")),
        await _dkim(resolver, domain),
    ]
    for name in dict.fromkeys((domain.sender, envelope)):
        hosts = await resolver.exchangers(name)
        why = "bounces cannot come back" if name == envelope else "answers cannot reach you"
        found.append(
            ok("dns", f"{name}: mail goes to {', '.join(hosts)}")
            if hosts and hosts != [""]
            else warn("dns", f"{name}: no MX record, {why}", f"publish: {name} MX 10 <your mail server>")
        )
    return found


def _spf(name: str, texts: list[str]) -> Finding:
    policies = [one for one in texts if re.match(r"v=spf1( |$)", one, re.IGNORECASE)]
    if not policies:
        return bad("dns", f"{name}: no SPF record", f'publish: {name} TXT "v=spf1 include:<your relay> -all"')
    if len(policies) > 1:
        return bad("dns", f"{name}: {len(policies)} SPF records, which counts as none", "merge them into one")
    if re.search(r"\+?\ball\s*$", policies[0]) and not re.search(r"[-~?]all\s*$", policies[0]):
        return bad("dns", f"{name}: its SPF record lets everybody send", "end it with -all or ~all")
    return ok("dns", f"{name}: one SPF record")


def _dmarc(name: str, texts: list[str]) -> Finding:
    policies = [one for one in texts if re.match(r"v=DMARC1\s*(;|$)", one)]
    if len(policies) != 1:
        do = f'publish: _dmarc.{name} TXT "v=DMARC1; p=quarantine"'
        return bad(
            "dns", f"{name}: {len(policies) or 'no'} DMARC records" if policies else f"{name}: no DMARC record", do
        )
    policy = re.search(r";\s*p\s*=\s*(\w+)", policies[0])
    if policy is None or policy[1].lower() == "none":
        return warn(
            "dns", f"{name}: DMARC only watches (p=none)", "raise it to p=quarantine when the reports are clean"
        )
    return ok("dns", f"{name}: DMARC with p={policy[1].lower()}")


async def _dkim(resolver: Resolver, domain: Domain) -> Finding:
    if not domain.dkim_selector:
        do = "set …__DKIM_SELECTOR to the name under which your relay signs, and it is looked up here"
        return warn("dns", f"{domain.sender}: DKIM is not checked, no selector is set", do)
    name = f"{domain.dkim_selector}._domainkey.{domain.sender}"
    keys = [one for one in await resolver.texts(name) if re.search(r"(^|;)\s*p\s*=", one)]
    if not keys:
        return bad("dns", f"{name}: no DKIM key", "publish the key with which your relay signs")
    if any(re.search(r"(^|;)\s*p\s*=\s*(;|$)", one) for one in keys):
        return bad("dns", f"{name}: the DKIM key is revoked", "publish the key with which your relay signs")
    return ok("dns", f"{name}: a DKIM key")
