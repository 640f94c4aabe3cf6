"""Settings: one line for each mistake, no secret in any of them, and nothing that is silently ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from channels.kit.contract import Confidentiality
from gateway.settings import SettingsInvalid, load
from tests.support.surroundings import RELEASE, without_settings

CANARY = "Geheimnis-4711"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start without any setting, in a folder without ``.env``."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)


def lines(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """Return what is said about these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as told:
        load()
    return told.value.lines


def test_without_any_setting_it_runs_embedded():
    """The default needs no server and no variable: SQLite below ./var, the doorbell inside the process."""
    settings = load()
    assert settings.embedded
    assert settings.database.endswith("/var/botengang.db")
    assert settings.keyring == Path("var/keyring.json")
    assert settings.accounts == {}


def test_an_account_is_a_block_of_variables(monkeypatch: pytest.MonkeyPatch):
    """Our fields are ours, everything else of the block is the adapter's, nested ones included."""
    monkeypatch.setenv("GATEWAY_ACCOUNTS__MAIL__ADAPTER", "email_smtp")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__MAIL__HOST", "smtp.example.org")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__MAIL__CEILING", "K2")
    for name, value in RELEASE.items():
        monkeypatch.setenv(f"GATEWAY_ACCOUNTS__MAIL__RELEASE__{name.upper()}", value)
    mail = load().accounts["mail"]
    assert (mail.adapter, mail.ceiling, mail.options) == (
        "email_smtp",
        Confidentiality.K2,
        {"host": "smtp.example.org"},
    )
    assert mail.release is not None
    assert mail.release.region == "this machine"


def test_the_file_env_and_files_of_secrets_count_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The environment wins over ``.env``, ``.env`` over files of secrets."""
    (tmp_path / ".env").write_text("GATEWAY_SENDER_NAME=aus-env\nGATEWAY_LOG_LEVEL=ERROR\n")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "GATEWAY_DATABASE_URL").write_text(f"postgresql://bote:{CANARY}@db/bote\n")
    (secrets / "GATEWAY_ACCOUNTS__SMS__AUTH_TOKEN").write_text(CANARY)
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("GATEWAY_ACCOUNTS__SMS__ADAPTER", "sms_twilio")
    monkeypatch.setenv("GATEWAY_LOG_LEVEL", "WARNING")
    settings = load()
    assert (settings.sender_name, settings.log_level) == ("aus-env", "WARNING")
    assert CANARY in settings.database
    assert settings.accounts["sms"].options == {"auth_token": CANARY}
    assert CANARY not in repr(settings)


WRONG: dict[str, dict[str, str]] = {
    "GATEWAY_LOG_LEVEL": {"GATEWAY_LOG_LEVEL": "LOUD"},
    "GATEWAY_LISTEN": {"GATEWAY_LISTEN": "8080"},
    "GATEWAY_PUBLIC_URL": {"GATEWAY_PUBLIC_URL": "gateway.example.org"},
    "GATEWAY_LEASE_S": {"GATEWAY_LEASE_S": "1"},
    "GATEWAY_DEFAULT_EXPIRY_H": {"GATEWAY_DEFAULT_EXPIRY_H": "viel"},
    "GATEWAY_CONCURENCY": {"GATEWAY_CONCURENCY": "4"},
    "GATEWAY_ADAPTERS": {"GATEWAY_ADAPTERS": "email_smtp"},
    "GATEWAY_ACCOUNTS__MAIL__ADAPTER": {"GATEWAY_ACCOUNTS__MAIL__HOST": "x"},
    "GATEWAY_ACCOUNTS__MAIL__CEILING": {
        "GATEWAY_ACCOUNTS__MAIL__ADAPTER": "email_smtp",
        "GATEWAY_ACCOUNTS__MAIL__CEILING": "K9",
    },
    "GATEWAY_CLOCK_START": {"GATEWAY_CLOCK_START": "2027-03-01T10:00:00Z"},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_with_the_variables_name(monkeypatch: pytest.MonkeyPatch, name: str):
    """Who reads the line knows which variable to mend."""
    (line,) = lines(monkeypatch, **WRONG[name])
    assert line.startswith(f"{name}: ")
    assert "\n" not in line


@pytest.mark.parametrize("value", ["127.0.0.1:65536", "127.0.0.1:", ":8080", "127.0.0.1:²"])
def test_no_impossible_address_to_listen_on(monkeypatch: pytest.MonkeyPatch, value: str):
    """Found at the start, and not when the socket is made."""
    assert lines(monkeypatch, GATEWAY_LISTEN=value)[0].startswith("GATEWAY_LISTEN: ")


def test_several_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch):
    """Nobody has to start three times to find three mistakes."""
    wrong = {"GATEWAY_LOG_LEVEL": "LOUD", "GATEWAY_LISTEN": "8080", "GATEWAY_SWEEP_SECONDS": "1"}
    assert sorted(one.partition(":")[0] for one in lines(monkeypatch, **wrong)) == sorted(wrong)


def test_an_unknown_name_in_env_is_told(tmp_path: Path):
    """A misspelt line of ``.env`` is not ignored either."""
    (tmp_path / ".env").write_text("GATEWAY_SENDERNAME=x\n")
    with pytest.raises(SettingsInvalid) as told:
        load()
    assert len(told.value.lines) == 1
    assert "sendername" in told.value.lines[0].lower()


@pytest.mark.parametrize(
    "variables",
    [
        {"GATEWAY_DATABASE_URL": f"postgresql://bote:{CANARY}@db/x", "GATEWAY_LEASE_S": CANARY},
        {"GATEWAY_ACCOUNTS__SMS__AUTH_TOKEN": CANARY},
        {"GATEWAY_ACCOUNTS": '{"sms": {"auth_token": "' + CANARY},
    ],
)
def test_no_line_repeats_a_value(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]):
    """What is wrong may be a secret in the wrong place."""
    told = lines(monkeypatch, **variables)
    assert told
    assert CANARY not in repr(told)


def test_secrets_are_never_in_a_repr(monkeypatch: pytest.MonkeyPatch):
    """Neither the URLs nor an account's options show up where settings are printed."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"postgresql://bote:{CANARY}@db/bote")
    monkeypatch.setenv("GATEWAY_REDIS_URL", f"redis://:{CANARY}@redis/0")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__SMS__ADAPTER", "sms_twilio")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__SMS__AUTH_TOKEN", CANARY)
    settings = load()
    shown = [repr(settings), str(settings), repr(settings.accounts), str(settings.accounts["sms"])]
    assert "sms_twilio" in shown[0]
    assert not [one for one in shown if CANARY in one]


@pytest.mark.parametrize(("given", "fine"), [({"profile": "demo"}, True), ({"profile": "test"}, True), ({}, False)])
def test_the_clock_is_shifted_in_demo_and_test_only(given: dict[str, Any], fine: bool):
    """Production never runs on a shifted clock."""
    if fine:
        assert load(clock_start="2027-03-01T10:00:00Z", **given).clock_start is not None
        return
    with pytest.raises(SettingsInvalid) as told:
        load(clock_start="2027-03-01T10:00:00Z", **given)
    assert "CLOCK_START" in told.value.lines[0]


def test_a_release_is_complete_or_an_error(monkeypatch: pytest.MonkeyPatch):
    """A provider record without its dates is no record: each missing field is named (A-15)."""
    told = lines(
        monkeypatch,
        GATEWAY_ACCOUNTS__SMS__ADAPTER="sms_twilio",
        GATEWAY_ACCOUNTS__SMS__RELEASE__PROVIDER="Twilio",
        GATEWAY_ACCOUNTS__SMS__RELEASE__REGION="IE",
    )
    missing = {"CONTRACT_ON", "NOTIFIED_ON", "APPROVED_BY", "REVIEW_BY"}
    assert {one.partition(":")[0] for one in told} == {f"GATEWAY_ACCOUNTS__SMS__RELEASE__{name}" for name in missing}
