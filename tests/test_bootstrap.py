"""Bootstrap: what is configured is built and closed, what is wrong is told at once, one process holds the folder."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.kit.contract import Confidentiality
from gateway import bootstrap
from gateway.domain.windows import Window
from gateway.egress import Http
from gateway.queue.limits import LocalBuckets, SharedBuckets
from gateway.settings import Settings, SettingsInvalid, load
from gateway.store.keyring import VaultError
from gateway.store.migrate import migrate
from gateway.usecases import accept
from gateway.usecases.runtime import OpenAccount
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, person, posted, publish, put
from tests.support.surroundings import RELEASE, without_settings

MEMORY = {"adapter": "memory", "secret": "Geheimnis-4711"}
SMS = {
    "adapter": "sms_twilio",
    "account_sid": "AC" + "0" * 32,
    "auth_token": "Geheimnis-4711",
    "sender": "+4915550100000",
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start without any setting, in a folder of its own."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)


def accounts(clock: ManualClock, **given: Mapping[str, Any]) -> dict[str, OpenAccount]:
    """Build these accounts."""
    return bootstrap.open_accounts(load(accounts=given), http=Http(), clock=clock)


def mistakes(clock: ManualClock, **given: Mapping[str, Any]) -> list[str]:
    """Return what is said about these accounts."""
    with pytest.raises(SettingsInvalid) as told:
        accounts(clock, **given)
    return told.value.lines


def test_an_account_without_a_provider_record_is_not_released(clock: ManualClock):
    """No record, no message; with one it sends, until the day after its review (A-15)."""
    assert accounts(clock, memory=MEMORY)["memory"].facts.released is False
    for day, released in (("2026-11-22", False), ("2026-11-23", True), ("2026-11-24", True)):
        one = accounts(clock, memory=MEMORY | {"release": RELEASE | {"review_by": day}})["memory"]
        assert one.facts_at(clock.now()).released is released, day


async def test_what_is_not_released_is_planned_as_such(clock: ManualClock):
    """The whole way: from the settings to the reason that the caller reads (A-15)."""
    async with bootstrap.open(load(accounts={"sms": SMS}), clock=clock) as rt:
        await migrate(rt.db)
        await publish(rt)
        await put(rt, person("P-1", ("sms",)))
        done = await accept.accept(rt, CALLER, posted())
    assert {one["channel"]: one["reason"] for one in done.answer["skipped"]}["sms"] == "account_not_released"


def test_a_ceiling_is_the_operators_within_what_the_adapter_carries(clock: ManualClock):
    """Unset: the adapter's default. Above what the adapter may carry: refused at the start (A-01)."""
    assert accounts(clock, memory=MEMORY)["memory"].facts.ceiling is Confidentiality.K1
    assert accounts(clock, memory=MEMORY | {"ceiling": "K2"})["memory"].facts.ceiling is Confidentiality.K2
    assert accounts(clock, memory=MEMORY | {"ceiling": "K0"})["memory"].facts.ceiling is Confidentiality.K0
    (line,) = mistakes(clock, memory=MEMORY | {"ceiling": "K3"})
    assert line == "GATEWAY_ACCOUNTS__MEMORY__CEILING: this adapter carries at most K2"


def test_every_mistake_of_every_account_is_one_line(clock: ManualClock):
    """Unknown adapters, missing and unknown options are told together, with the variable and without its value."""
    told = mistakes(
        clock,
        fax={"adapter": "fax_t38"},
        sms={"adapter": "sms_twilio", "auth_token": "Geheimnis-4711", "colour": "Geheimnis-4711"},
        memory=MEMORY | {"ceiling": "K4"},
    )
    names = [one.partition(":")[0] for one in told]
    assert "GATEWAY_ACCOUNTS__FAX__ADAPTER" in names
    assert "GATEWAY_ACCOUNTS__SMS__COLOUR" in names
    assert "GATEWAY_ACCOUNTS__SMS__ACCOUNT_SID" in names
    assert "GATEWAY_ACCOUNTS__MEMORY__CEILING" in names
    assert not [one for one in told if "\n" in one or "Geheimnis" in one]


def test_only_allowed_adapters_are_loaded(clock: ManualClock):
    """An adapter that is installed and not on the list is as good as not installed."""
    settings = load(accounts={"memory": MEMORY}, adapters=["email_smtp"])
    with pytest.raises(SettingsInvalid):
        bootstrap.open_accounts(settings, http=Http(), clock=clock)


def test_rates_come_from_the_adapter_or_the_operator(clock: ManualClock):
    """An override replaces the adapter's rate; keys hold names and numbers, never an address."""
    own = accounts(clock, sms=SMS)["sms"]
    faster = accounts(clock, sms=SMS | {"account_per_s": 50, "recipient_per_s": 0.1})["sms"]
    assert own.rates
    assert [(one.per_s, one.burst) for one in faster.rates] == [(50.0, 50.0)]
    assert [(one.per_s, one.burst) for one in faster.recipient_rates] == [(0.1, 1.0)]
    assert all(one.key.startswith("account:sms") for one in (*own.rates, *faster.rates))


def test_limits_of_a_day_come_from_the_adapter_or_the_operator(clock: ManualClock):
    """B-W8: 250 people by WhatsApp unless the provider allows more, 0 for no limit; a day is no token bucket."""
    whatsapp = SMS | {"adapter": "whatsapp_twilio"}
    own = accounts(clock, whatsapp=whatsapp)["whatsapp"]
    assert own.windows == (Window("people", 250),)
    assert [one.per_s for one in own.rates] == [10.0]
    wider = accounts(clock, whatsapp=whatsapp | {"people_per_day": 2000, "account_per_day": 9000})["whatsapp"]
    assert wider.windows == (Window("people", 2000), Window("account", 9000))
    assert accounts(clock, whatsapp=whatsapp | {"people_per_day": 0})["whatsapp"].windows == ()
    assert accounts(clock, sms=SMS)["sms"].windows == ()


def test_an_address_of_a_bot_is_bound_to_it(clock: ManualClock):
    """B-T3: the planner learns from the adapter where accounts cannot stand in for one another."""
    bot = {"adapter": "telegram_bot", "token": "1:x", "webhook_secret": "s" * 32}
    assert accounts(clock, bot=bot)["bot"].facts.bound is True
    assert accounts(clock, sms=SMS)["sms"].facts.bound is False


def test_a_second_process_is_refused_with_the_remedy(tmp_path: Path):
    """The folder belongs to one process; the message names it and what to do, and it is free again afterwards."""
    settings = load(data_dir=tmp_path / "data")
    with bootstrap.embedded_lock(settings):
        with pytest.raises(bootstrap.AlreadyRunning) as told, bootstrap.embedded_lock(settings):
            pass
        assert "GATEWAY_DATA_DIR" in str(told.value)
        assert "GATEWAY_REDIS_URL" in str(told.value)
    with bootstrap.embedded_lock(settings):
        pass


def test_the_key_ring_is_made_once_and_for_the_owner_only(tmp_path: Path):
    """The embedded mode makes one at its first start and finds it again; nobody else may read it."""
    settings = load(data_dir=tmp_path / "data")
    sealed = bootstrap.open_vault(settings).seal(b"x", table="t", row="1", column="c")
    assert bootstrap.open_vault(settings).open(sealed, table="t", row="1", column="c") == b"x"
    assert stat.S_IMODE(settings.keyring.stat().st_mode) == 0o600


def test_the_scaled_mode_makes_no_key_ring_by_itself(tmp_path: Path):
    """Ten processes would make ten rings: it says which command makes one."""
    nowhere = {"redis_url": "redis://127.0.0.1:1/0", "database_url": "postgresql://127.0.0.1:1/none"}
    settings = load(keyring_file=tmp_path / "ring.json", **nowhere)
    with pytest.raises(SettingsInvalid) as told:
        bootstrap.open_vault(settings)
    assert "botengang keys ring" in told.value.lines[0]
    bootstrap.make_ring(tmp_path / "ring.json")
    bootstrap.open_vault(settings)


def test_a_lost_key_ring_is_not_papered_over(tmp_path: Path):
    """A database without its ring holds what no new ring can read: the copy has to come back (A-17)."""
    settings = load(data_dir=tmp_path)
    settings.database_file.touch()
    with pytest.raises(SettingsInvalid, match="bring its copy back"):
        bootstrap.open_vault(settings)
    assert not settings.keyring.exists()


def test_a_key_ring_that_cannot_be_written_is_told(tmp_path: Path):
    """A place where nothing can be made: one line with the setting, no traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsInvalid, match="GATEWAY_KEYRING_FILE"):
        bootstrap.make_ring(tmp_path / "file" / "ring.json")


def test_redis_without_a_server_database_is_refused():
    """Several processes cannot share the embedded database; the line names what is missing."""
    with pytest.raises(SettingsInvalid, match="GATEWAY_DATABASE_URL"):
        load(redis_url="redis://127.0.0.1:6379/0")


def test_a_damaged_key_ring_is_told(tmp_path: Path):
    """A file that is no ring stops the start, and is not replaced by a new one."""
    (tmp_path / "ring.json").write_text("{}")
    with pytest.raises(VaultError):
        bootstrap.open_vault(load(keyring_file=tmp_path / "ring.json"))
    assert (tmp_path / "ring.json").read_text() == "{}"


async def test_the_runtime_fits_its_mode(clock: ManualClock, tmp_path: Path, redis_url: str, postgres_url: str):
    """Embedded: everything in the process. With a Redis: buckets that all processes share."""
    settings: Settings = load(data_dir=tmp_path / "data")
    async with bootstrap.open(settings, clock=clock) as rt:
        assert isinstance(rt.buckets, LocalBuckets)
        assert await rt.doorbell.ping()
        assert {"email", "sms", "telegram", "whatsapp"} <= set(rt.kinds)
    bootstrap.make_ring(tmp_path / "ring.json")
    servers = {"redis_url": redis_url, "database_url": postgres_url}
    scaled = load(data_dir=tmp_path / "data", keyring_file=tmp_path / "ring.json", **servers)
    async with bootstrap.open(scaled, clock=clock) as rt:
        assert isinstance(rt.buckets, SharedBuckets)
        assert await rt.doorbell.ping()


def test_a_shifted_clock_starts_where_it_is_told_and_goes_on():
    """The demonstration's clock begins at its instant; without one it is the computer's."""
    start = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)
    clock = bootstrap.SystemClock(start)
    first, second = clock.now(), clock.now()
    assert start <= first <= second
    assert (first - start).total_seconds() < 5
    assert bootstrap.SystemClock().now().tzinfo is UTC
