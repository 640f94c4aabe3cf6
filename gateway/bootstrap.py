"""Build, wire and close everything, once: ``open(settings)`` lends a Runtime.

The only room that knows every concrete thing; it decides nothing about notifications.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from channels.kit import registry
from channels.kit.contract import Adapter, Capabilities, Clock, Confidentiality, Limit
from gateway import telemetry
from gateway.domain import windows
from gateway.domain.model import Account
from gateway.domain.windows import Window
from gateway.egress import Courier, Http
from gateway.queue.jobs import ArqDoorbell, embedded_pool, server_pool
from gateway.queue.limits import Buckets, LocalBuckets, Rate, SharedBuckets
from gateway.render.render import Letterhead, Renderer
from gateway.resolver import Resolver
from gateway.settings import AccountSettings, Settings, SettingsInvalid
from gateway.store import tallies
from gateway.store.engine import Database, StoreAway
from gateway.store.keyring import KeyRing, VaultError
from gateway.store.migrate import migrate
from gateway.store.vault import Vault
from gateway.usecases.accept import open_group
from gateway.usecases.faults import ArmedFaults, Faults
from gateway.usecases.findings import Parts
from gateway.usecases.receipts import open_reports
from gateway.usecases.runtime import Ids, OpenAccount, Policy, Retention, Runtime

log = telemetry.log()


class AlreadyRunning(Exception):
    """Another process has the embedded data folder; the message says what to do."""


class SystemClock:
    """The computer's clock; ``start`` shifts it to a fixed first instant, or it is ``ahead`` (never in production)."""

    def __init__(self, start: datetime | None = None, ahead: timedelta = timedelta(0)) -> None:
        """Remember the shift."""
        self._shift = ahead if start is None else start - datetime.now(UTC)  # noqa: TID251 - this is the clock

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        return datetime.now(UTC) + self._shift  # noqa: TID251 - this is the clock

    @staticmethod
    def monotonic() -> float:
        """Return seconds that only move forward."""
        return time.monotonic()


@contextmanager
def embedded_lock(settings: Settings) -> Iterator[None]:
    """Hold the data folder for this process; the embedded mode is for one process at a time. Raises AlreadyRunning."""
    _folder(settings.data_dir, "GATEWAY_DATA_DIR")
    path = settings.data_dir / "botengang.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise AlreadyRunning(
                f"{settings.data_dir} is in use by process {holder}. Stop it, or set GATEWAY_DATA_DIR to another "
                "folder, or use the scaled mode (GATEWAY_DATABASE_URL and GATEWAY_REDIS_URL) for more than one process."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def open_vault(settings: Settings) -> Vault:
    """Load the key ring; the embedded mode makes one at its first start. Raises SettingsInvalid."""
    path = settings.keyring
    if not path.exists():
        if not settings.embedded or settings.database_file.exists():  # rows are sealed already: a new ring opens none
            raise SettingsInvalid(
                [f"GATEWAY_KEYRING_FILE: there is no key ring at {path}; bring its copy back, or `botengang keys ring`"]
            )
        make_ring(path)
    return Vault(KeyRing.load(path))


def _folder(path: Path, setting: str) -> None:
    """Make a folder of ours. Raises SettingsInvalid."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as exc:
        raise SettingsInvalid([f"{setting}: the folder {path} cannot be made ({exc.strerror})"]) from None


def _doorbell(settings: Settings, ids: Ids) -> ArqDoorbell:
    """Return the doorbell: of a server, or inside the process. Raises SettingsInvalid."""
    if settings.redis_url is None:
        return ArqDoorbell(embedded_pool(), new_id=ids.new, local=True)
    try:
        return ArqDoorbell(server_pool(settings.redis_url.get_secret_value()), new_id=ids.new, local=False)
    except ValueError:  # its text quotes parts of the URL, which holds a password
        line = "GATEWAY_REDIS_URL: the address cannot be read; write redis://:password@host:6379/0 (or rediss://…)"
        raise SettingsInvalid([line]) from None


@asynccontextmanager
async def open(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Runtime]:  # noqa: A001 - house.md's name
    """Lend a Runtime and close everything in it afterwards. Raises SettingsInvalid, StoreAway, AlreadyRunning."""
    async with contextlib.AsyncExitStack() as stack:
        clock = clock or SystemClock(settings.clock_start, timedelta(seconds=settings.clock_offset_s))
        if settings.clock_start is not None or settings.clock_offset_s:
            log.info("clock.offset", profile=settings.profile)
        http = Http()
        stack.push_async_callback(http.close)
        accounts = open_accounts(settings, http=http, clock=clock)
        for account in accounts.values():
            stack.push_async_callback(account.adapter.close)
        vault = open_vault(settings)
        db = await _open_database(settings)
        stack.push_async_callback(db.close)
        ids = Ids(clock)
        doorbell = _doorbell(settings, ids)
        stack.push_async_callback(doorbell.close)
        buckets: Buckets = LocalBuckets(clock) if settings.embedded else SharedBuckets(doorbell.pool, clock)
        rt = Runtime(
            db=db,
            vault=vault,
            doorbell=doorbell,
            buckets=buckets,
            renderer=Renderer(_letterhead(settings)),
            clock=clock,
            ids=ids,
            dice=random.SystemRandom().random,
            policy=_policy(settings),
            pages=_letterhead(settings),
            accounts=accounts,
            kinds=_kinds(settings),
            courier=Courier(private=settings.callback_private),
            faults=ArmedFaults(settings.fault_points) if settings.fault_points else Faults(),
        )
        stack.push_async_callback(rt.courier.close)
        rt.group, rt.reports = open_group(rt), open_reports(rt)
        stack.push_async_callback(rt.group.close)
        stack.push_async_callback(rt.reports.close)
        yield rt


def _letterhead(settings: Settings) -> Letterhead:
    return Letterhead(
        sender_name=settings.sender_name,
        imprint_url=settings.imprint_url,
        privacy_url=settings.privacy_url,
        accessibility_url=settings.accessibility_url,
        personal_url=settings.personal_url,
    )


def _policy(settings: Settings) -> Policy:
    return Policy(
        public_url=settings.public_url,
        portal_url=settings.portal_url,
        default_expiry=timedelta(hours=settings.default_expiry_h),
        idempotency=timedelta(days=settings.retain_keys_days),
        retention=_retention(settings),
        lease=timedelta(seconds=settings.lease_s),
        uncertain=timedelta(seconds=settings.uncertain_s),
        failover_after=timedelta(seconds=settings.failover_after_s),
        client_per_s=settings.client_per_s,
        max_body_bytes=settings.max_body_bytes,
        max_batch_bytes=settings.max_batch_bytes,
        metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else "",
    )


def _retention(settings: Settings) -> Retention:
    return Retention(
        variables=timedelta(days=settings.retain_variables_days),
        variables_k2=timedelta(days=settings.retain_variables_k2_days),
        raw_webhooks=timedelta(days=settings.retain_raw_webhooks_days),
        inbound=timedelta(days=settings.retain_inbound_days),
        metadata=timedelta(days=settings.retain_metadata_days),
        hour=settings.purge_hour,
    )


def _kinds(settings: Settings) -> dict[str, Capabilities]:
    """Return what the installed adapters can do, by channel; the first of a channel's adapters stands for it."""
    found: dict[str, Capabilities] = {}
    for name in registry.installed():
        if settings.adapters is None or name in settings.adapters:
            capabilities = registry.load(name).capabilities
            found.setdefault(capabilities.channel, capabilities)
    return found


def open_accounts(settings: Settings, *, http: Http, clock: Clock) -> dict[str, OpenAccount]:
    """Build every configured account. Raises SettingsInvalid with one line for each mistake in any of them."""
    found: dict[str, OpenAccount] = {}
    lines: list[str] = []
    for name, block in settings.accounts.items():
        prefix = f"GATEWAY_ACCOUNTS__{name.upper()}"
        try:
            kind = registry.load(block.adapter, allowed=settings.adapters)
            options = kind.Options(**block.options)
        except registry.AdapterUnknown as exc:
            lines.append(f"{prefix}__ADAPTER: {exc}")
            continue
        except ValidationError as exc:
            lines += [_line(prefix, error) for error in exc.errors(include_input=False, include_url=False)]
            continue
        highest = kind.capabilities.ceiling
        ceiling = kind.capabilities.default_ceiling if block.ceiling is None else block.ceiling
        if ceiling > highest:
            lines.append(f"{prefix}__CEILING: this adapter carries at most {highest.name}")
            continue
        adapter = kind(options, http=http, clock=clock)
        found[name] = _open(name, block, adapter, ceiling=ceiling, deadline_s=options.deadline_s)
    if lines:
        raise SettingsInvalid(lines)
    return found


def _line(prefix: str, error: Any) -> str:
    path = "__".join(str(part).upper() for part in error["loc"])
    message = "no such option of this adapter" if error["type"] == "extra_forbidden" else str(error["msg"])
    return f"{prefix}__{path}: {message}" if path else f"{prefix}: {message}"


def _open(
    name: str, block: AccountSettings, adapter: Adapter, *, ceiling: Confidentiality, deadline_s: float
) -> OpenAccount:
    facts = Account(
        name=name,
        channel=adapter.capabilities.channel,
        ceiling=ceiling,
        released=block.release is not None,
        paused=block.paused,
        weight=block.weight,
        bound=adapter.capabilities.bound,
    )
    limits = adapter.capabilities.limits
    return OpenAccount(
        facts=facts,
        review_by=block.release.review_by if block.release is not None else None,
        adapter=adapter,
        approved=block.approved,
        rates=_rates(limits, "account", f"account:{name}", block.account_per_s),
        recipient_rates=_rates(limits, "recipient", f"recipient:{name}", block.recipient_per_s),
        windows=(
            *_windows(limits, windows.PEOPLE, block.people_per_day),
            *_windows(limits, windows.CALLS, block.account_per_day),
        ),
        deadline_s=deadline_s,
    )


def _rates(limits: tuple[Limit, ...], scope: str, key: str, override: float | None) -> tuple[Rate, ...]:
    if override is not None:
        return (Rate(key, override, max(override, 1.0)),)
    return tuple(
        Rate(f"{key}:{number}", limit.count / limit.per_s, float(limit.count))
        for number, limit in enumerate(limits)
        if limit.scope == scope and limit.per_s <= windows.SHORT_S
    )


def _windows(limits: tuple[Limit, ...], kind: str, override: int | None) -> tuple[Window, ...]:
    """Return what is counted over longer than a minute; the operator's word for a day replaces the adapter's."""
    if override is not None:
        return (Window(kind, override),) if override else ()
    return tuple(
        Window(kind, limit.count, timedelta(seconds=limit.per_s))
        for limit in limits
        if limit.scope == kind and limit.per_s > windows.SHORT_S
    )


async def _open_database(settings: Settings, *, timeout_s: float | None = 30.0) -> Database:
    """Open the database; the embedded one gets its folder at the first start. Raises StoreAway, SettingsInvalid."""
    if settings.database_url is None:
        _folder(settings.data_dir, "GATEWAY_DATA_DIR")
    try:
        return await Database.open(settings.database, timeout_s=timeout_s, max_pages=settings.sqlite_max_pages)
    except ValueError as exc:  # its text never quotes the URL, which holds a password
        raise SettingsInvalid([f"GATEWAY_DATABASE_URL: {exc}"]) from None


@asynccontextmanager
async def open_parts(settings: Settings, *, nameservers: Sequence[str] = ()) -> AsyncIterator[Parts]:
    """Lend what can be opened, for an examination: it makes, migrates and changes nothing."""
    async with contextlib.AsyncExitStack() as stack:
        clock, http, doorbell = SystemClock(settings.clock_start), Http(), None
        stack.push_async_callback(http.close)
        accounts, broken = _sound_accounts(settings, http=http, clock=clock)
        for account in accounts.values():
            stack.push_async_callback(account.adapter.close)
        db, db_problem = await _there(settings)
        if db is not None:
            stack.push_async_callback(db.close)
        if settings.redis_url is not None:
            pool = server_pool(settings.redis_url.get_secret_value())
            doorbell = ArqDoorbell(pool, new_id=Ids(clock).new, local=False)
            stack.push_async_callback(doorbell.close)
        vault, vault_problem = None, ""
        try:
            vault = Vault(KeyRing.load(settings.keyring))
        except VaultError as exc:
            vault_problem = str(exc)
        releases = {name: block.release for name, block in settings.accounts.items()}
        yield Parts(
            clock=clock, public_url=settings.public_url, folder=settings.data_dir, resolver=Resolver(nameservers),
            db=db, db_problem=db_problem, vault=vault, vault_problem=vault_problem, doorbell=doorbell,
            accounts=accounts, broken=broken, examples=settings.examples,
            review_by={name: one.review_by if one else None for name, one in releases.items()},
            has_metrics_token=settings.metrics_token is not None,
        )  # fmt: skip


def _sound_accounts(
    settings: Settings, *, http: Http, clock: Clock
) -> tuple[dict[str, OpenAccount], dict[str, Sequence[str]]]:
    """Build the accounts one by one; return those that can be built, and what is wrong with the others."""
    sound: dict[str, OpenAccount] = {}
    broken: dict[str, Sequence[str]] = {}
    for name, block in settings.accounts.items():
        try:
            sound |= open_accounts(settings.model_copy(update={"accounts": {name: block}}), http=http, clock=clock)
        except SettingsInvalid as exc:
            broken[name] = exc.lines
    return sound, broken


async def _there(settings: Settings) -> tuple[Database | None, str]:
    """Open the database if it is there; an embedded one is not made by looking at it."""
    if settings.embedded and not (settings.data_dir / "botengang.db").exists():
        return None, f"there is none in {settings.data_dir} yet: `botengang up` makes it"
    try:
        return await Database.open(settings.database, pool=2), ""
    except (StoreAway, ValueError) as exc:
        return None, str(exc)


async def prepare(settings: Settings) -> Path | None:
    """Bring the schema up to date; return the key ring's path if it had to be made.

    Only an empty database gets a new ring: where rows are sealed already, a missing ring is a loss to be mended from
    its copy, not to be papered over. Raises StoreAway.
    """
    db = await _open_database(settings, timeout_s=None)
    try:
        async with db.read() as conn:
            empty = await tallies.is_empty(conn)
        await migrate(db)
    finally:
        await db.close()
    if settings.keyring.exists() or not empty:
        return None
    make_ring(settings.keyring)
    return settings.keyring


def make_ring(path: Path) -> None:
    """Make a key ring. Raises SettingsInvalid where it cannot be written, VaultError where there is one."""
    _folder(path.parent, "GATEWAY_DATA_DIR or GATEWAY_KEYRING_FILE")
    try:
        KeyRing.create(path)
    except OSError as exc:
        raise SettingsInvalid([f"GATEWAY_KEYRING_FILE: {path} cannot be written ({exc.strerror})"]) from None
