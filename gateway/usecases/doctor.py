"""Examine an installation: what is well, what is not, and what to do about it. It changes and sends nothing.

What it works on and answers with is gateway.usecases.findings'; DNS records are gateway.usecases.doctor_dns'.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from channels.kit.contract import Clock, Probes, Receives
from gateway.domain.content import Content
from gateway.domain.model import Lane
from gateway.queue import inspection as queue_inspection
from gateway.queue.inspection import DoorbellAway
from gateway.render.catalogue import from_stored
from gateway.store import figures, inspection, templates
from gateway.store.engine import Connection, Database, StoreAway
from gateway.store.keyring import VaultError
from gateway.store.migrate import Standing, standing
from gateway.usecases.doctor_dns import domains
from gateway.usecases.findings import Finding, Parts, bad, ok, warn
from gateway.usecases.runtime import OpenAccount
from gateway.usecases.seeing import LATE_S, RECENT

PINGS = 5
SLOW_S = 0.05  # a round trip to the database
DRIFT_S = 2.0  # between two clocks
SOON = timedelta(days=30)  # before a release ends
GRACE = timedelta(seconds=60)  # the sweeper heals a lapsed lease much sooner
CAP = 10_000
LEAST_FREE_BYTES = 2_000_000_000
LEAST_FREE_SHARE = 0.05
AREA_S = 40.0  # the longest that one area may take


async def examine(parts: Parts) -> list[Finding]:
    """Look at everything; an area that cannot be looked at says so and does not keep the others from it."""
    first = await _looked("database", database(parts))  # alone: it measures how fast the database answers
    areas: list[tuple[str, Callable[[Parts], Awaitable[list[Finding]]]]] = [
        ("key ring", key_ring),
        ("redis", redis),
        ("accounts", accounts),
        ("public url", public_url),
        ("dns", domains),
        ("templates", texts),
        ("work", work),
        ("disk", disk),
    ]
    found = await asyncio.gather(*(_looked(area, look(parts)) for area, look in areas))
    return [*first, *(one for findings in found for one in findings)]


async def _looked(area: str, findings: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await asyncio.wait_for(findings, AREA_S)
    except StoreAway as exc:
        return [bad(area, str(exc), "see the line about the database")]
    except Exception as exc:  # noqa: BLE001 - one area must not hide the others; the class only, a text may quote
        return [warn(area, f"could not be examined ({type(exc).__name__})", "report this with the version you run")]


# --- the servers ----------------------------------------------------------------------------------------------------
async def database(parts: Parts) -> list[Finding]:
    """Look at the database: reachable, how fast, durable, its schema, its clock."""
    if parts.db is None:
        return [bad("database", parts.db_problem, "start it, or mend GATEWAY_DATABASE_URL; requests get 503 meanwhile")]
    rounds = [await _ping_s(parts.db, parts.clock) for _ in range(PINGS)]
    facts = await inspection.inspect(parts.db)
    seconds = statistics.median(rounds)
    size = f"{facts.version}, {facts.size_bytes / 1e6:.1f} MB, answers in {seconds * 1000:.1f} ms"
    found = [ok("database", size)]
    if seconds > SLOW_S:
        found = [warn("database", size, "slow: put it nearer, or look at its load and its disk")]
    found += [bad("database", f"a power cut may lose what was accepted: {one}", "set it back") for one in facts.weak]
    if not facts.weak:
        found.append(ok("database", "what is committed survives a power cut"))
    found.append(await _schema(parts.db))
    if facts.now is not None:
        found.append(_drift("the database's clock", facts.now, parts.clock.now()))
    return found


async def _ping_s(db: Database, clock: Clock) -> float:
    began = clock.monotonic()
    await db.ping()
    return clock.monotonic() - began


async def _schema(db: Database) -> Finding:
    match await standing(db):
        case Standing.CURRENT:
            return ok("database", "all migrations have run")
        case Standing.AHEAD:
            return warn("database", "its schema is newer than this program", "finish the upgrade on this machine too")
        case Standing.BEHIND:
            return bad("database", "its schema is older than this program", "run `botengang migrate`")
        case Standing.EMPTY:
            return bad("database", "it has no tables yet", "run `botengang migrate`")


def _drift(whose: str, theirs: datetime, ours: datetime) -> Finding:
    drift = abs((theirs - ours).total_seconds())
    if drift > DRIFT_S:
        do = "run a time service (chrony, systemd-timesyncd) on both machines: leases are measured by these clocks"
        return bad("clocks", f"{whose} and ours are {drift:.1f} s apart", do)
    return ok("clocks", f"{whose} and ours agree")


async def key_ring(parts: Parts) -> list[Finding]:
    """Look whether the key ring is there, private, and the one that this database was sealed with."""
    if parts.vault is None:
        do = "the first start makes one; if there was one, bring its copy back: docs/operations.md"
        return [bad("key ring", parts.vault_problem, do)]
    sealing, index = parts.vault.active
    found = [ok("key ring", f"present, readable by us only; active keys: sealing {sealing}, index {index}")]
    if parts.db is None or await standing(parts.db) is Standing.EMPTY:
        return found
    async with parts.db.read() as conn:
        row = await figures.a_sealed_row(conn)
    if row is None:
        return [*found, ok("key ring", "nothing personal is stored yet")]
    try:
        parts.vault.open_data_key(*row)
    except VaultError:
        do = "bring back the ring that belongs to this database; do not start anything before"
        return [*found, bad("key ring", "it does not open what is in this database", do)]
    return [*found, ok("key ring", "it opens what is in this database")]


async def redis(parts: Parts) -> list[Finding]:
    """Look at Redis: reachable, what it does when full, its clock."""
    if parts.doorbell is None:
        return [ok("redis", "the doorbell is inside the process; there is no server")]
    try:
        facts = await queue_inspection.inspect(parts.doorbell)
    except DoorbellAway as exc:
        do = "start it, or mend GATEWAY_REDIS_URL; nothing is lost, workers poll the tables meanwhile"
        return [bad("redis", f"away ({exc})", do)]
    found = [ok("redis", f"{facts.version}, {facts.used_bytes / 1e6:.1f} MB in use")]
    if facts.max_bytes and facts.policy != "noeviction":
        told = f"when full it evicts ({facts.policy}), rings and limits too"
        found.append(bad("redis", told, "set maxmemory-policy noeviction"))
    else:
        found.append(ok("redis", "it evicts nothing of ours"))
    found.append(_drift("Redis' clock", facts.now, parts.clock.now()))
    return found


# --- the accounts ---------------------------------------------------------------------------------------------------
async def accounts(parts: Parts) -> list[Finding]:
    """Look at each account: options, provider record, ceiling, what an operator and the circuit say, one probe."""
    found = [bad(f"account {name}", line, "mend the setting") for name, lines in parts.broken.items() for line in lines]
    if not parts.accounts and not parts.broken:
        return [warn("accounts", "none is configured, so nothing can be sent", "set one: docs/settings.md")]
    known: dict[str, Mapping[str, object]] = {}
    if parts.db is not None and await standing(parts.db) is Standing.CURRENT:
        async with parts.db.read() as conn:
            known = dict(await figures.circuits(conn))
    probed = await asyncio.gather(*(_probe(name, one) for name, one in parts.accounts.items()))
    for (name, account), answer in zip(parts.accounts.items(), probed, strict=True):
        found.append(_release(name, account, parts.review_by.get(name), parts.clock.now().date()))
        found += _resting(name, account, known.get(name, {}))
        found.append(answer)
    return found


def _release(name: str, account: OpenAccount, review_by: date | None, today: date) -> Finding:
    area, facts = f"account {name}", account.facts
    if review_by is None:
        return bad(area, "no provider record, so it sends nothing", "complete GATEWAY_ACCOUNTS__…__RELEASE__…")
    left = (review_by - today).days
    told = f"{facts.channel}, up to {facts.ceiling.name}, released for {left} more days"
    if left < 0:
        return bad(area, f"its release ended on {review_by}", "have the data protection officer review and renew it")
    return warn(area, told, "have the release renewed in time") if left < SOON.days else ok(area, told)


def _resting(name: str, account: OpenAccount, state: Mapping[str, object]) -> list[Finding]:
    area = f"account {name}"
    found = []
    if account.facts.paused or state.get("paused"):
        do = f"its messages are kept until they expire: `botengang accounts resume {name}`"
        found.append(warn(area, "paused by an operator", do))
    if state.get("circuit", "closed") != "closed":
        code = state.get("code") or "failures"
        found.append(bad(area, f"its circuit is {state['circuit']} ({code})", "mend the cause; it closes by itself"))
    return found


async def _probe(name: str, account: OpenAccount) -> Finding:
    area = f"account {name}"
    if not isinstance(account.adapter, Probes):
        return ok(area, "its adapter cannot be asked without sending")
    try:
        health = await asyncio.wait_for(account.adapter.probe(), account.deadline_s + 1)
    except TimeoutError:
        return bad(area, f"no answer within {account.deadline_s:.0f} s", "look at the network, then at the provider")
    if health.ok:
        return ok(area, "the provider lets us in")
    return bad(area, f"its probe failed: {health.advice}", "mend the credentials or the way to it")


# --- how the outside reaches us -------------------------------------------------------------------------------------
async def public_url(parts: Parts) -> list[Finding]:
    """Look at the form of the public address; it calls nobody."""
    url = urlsplit(parts.public_url)
    area, host = "public url", url.hostname or ""
    found = []
    if _is_private(host):
        found.append(warn(area, f"{parts.public_url} is reached from inside only", "set GATEWAY_PUBLIC_URL for links"))
    elif url.scheme != "https":
        found.append(bad(area, f"{parts.public_url} is not encrypted", "set GATEWAY_PUBLIC_URL to an https address"))
    elif url.query or url.fragment:
        found.append(bad(area, "GATEWAY_PUBLIC_URL has more than a path", "leave out everything from ? or # on"))
    else:
        found.append(ok(area, f"{parts.public_url} is encrypted"))
    hooks = [name for name, one in parts.accounts.items() if isinstance(one.adapter, Receives)]
    if hooks:
        told = ", ".join(f"{parts.public_url}/webhooks/{name}" for name in hooks)
        found.append(ok(area, f"providers call {told}"))
    if parts.examples:
        found.append(warn("settings", f"still the example's page: {', '.join(parts.examples)}", "set your own pages"))
    if not parts.has_metrics_token and not _is_private(host):
        told = "/metrics answers every caller on this machine, and a proxy here may call for others"
        found.append(warn("settings", told, "set GATEWAY_METRICS_TOKEN, or do not hand /metrics on"))
    return found


def _is_private(host: str) -> bool:
    if host == "localhost" or ("." not in host and ":" not in host):
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


# --- the contents ---------------------------------------------------------------------------------------------------
async def texts(parts: Parts) -> list[Finding]:
    """Look at the texts: approved, waiting, and confidential ones without a neutral twin."""
    conn_db = await _tables(parts)
    if conn_db is None:
        return []
    async with conn_db.read() as conn:
        counted = await figures.texts_by_state(conn)
        contents = {row.key: from_stored(row.content) for row in await templates.approved(conn)}
    told = f"{counted.get('approved', 0)} approved, {counted.get('draft', 0)} drafts"
    if not contents:
        return [bad("templates", told, "`botengang templates push`, then have somebody approve them")]
    return [ok("templates", told), *_twins(contents)]


def _twins(contents: Mapping[str, Content]) -> list[Finding]:
    missing = sorted(one.key for one in contents.values() if one.twin and one.twin not in contents)
    do = "approve the twin; until then these texts go nowhere that is not allowed to carry them"
    return [warn("templates", f"{key}: its neutral twin is not approved", do) for key in missing]


async def _tables(parts: Parts) -> Database | None:
    if parts.db is None or await standing(parts.db) is not Standing.CURRENT:
        return None
    return parts.db


async def work(parts: Parts) -> list[Finding]:
    """Look for what is stuck: oldest due rows, leases that nobody heals, unknown outcomes, held and dead ones."""
    db = await _tables(parts)
    if db is None:
        return []
    now = parts.clock.now()
    async with db.read() as conn:
        found = [await _lane(conn, lane, now) for lane in Lane]
        lapsed = await figures.lapsed(conn, before=now - GRACE, cap=CAP)
        running = await figures.running(conn, cap=CAP)
        held = await figures.held(conn, cap=CAP)
        dead = sum([await figures.failed(conn, name, since=now - RECENT, cap=CAP) for name in parts.accounts])
    if lapsed:
        found.append(
            bad("work", f"leases that ran out and nobody healed: {lapsed}", "start a worker: `botengang work`")
        )
    for count, told, do in (
        (
            running.get("uncertain", 0),
            "deliveries with an unknown outcome",
            "wait: receipts or their deadline settle them",
        ),
        (
            held,
            "deliveries held because their text was withdrawn",
            "`botengang templates held`, then release or cancel them",
        ),
        (
            dead,
            "deliveries that failed for good in the last 24 hours",
            "`botengang deadletters list`",
        ),
    ):
        found += [warn("work", f"{told}: {count}", do)] if count else []
    return found


async def _lane(conn: Connection, lane: Lane, now: datetime) -> Finding:
    since = await figures.oldest_due(conn, lane.value, now=now)
    age = (now - since).total_seconds() if since else 0.0
    if age > LATE_S[lane]:
        told = f"lane {lane.value}: the oldest due delivery has waited {age:.0f} s"
        return bad("work", told, "is a worker running? `botengang work`; is its account open? see above")
    return ok(
        "work", f"lane {lane.value}: " + (f"the oldest due delivery has waited {age:.0f} s" if since else "empty")
    )


async def disk(parts: Parts) -> list[Finding]:
    """Look at the room for the embedded database and the key ring."""
    folder = next(one for one in (parts.folder.absolute(), *parts.folder.absolute().parents) if one.exists())
    usage = shutil.disk_usage(folder)
    told = f"{usage.free / 1e9:.1f} GB free where GATEWAY_DATA_DIR is"
    if usage.free < min(LEAST_FREE_BYTES, usage.total * LEAST_FREE_SHARE):
        return [bad("disk", told, "make room: a full disk refuses every request (nothing accepted is lost)")]
    return [ok("disk", told)]
