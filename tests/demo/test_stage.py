"""The demonstration's settings and folder: nothing from outside reaches a provider, two runs do not meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.demo import stage
from gateway.settings import Settings
from tests.support.surroundings import without_settings

READY = {
    "http": "http://127.0.0.1:8025",
    "smtp_host": "127.0.0.1",
    "smtp_port": 2525,
    "smtp_user": "demo",
    "smtp_password": "demo",
    "ca_file": "ca.pem",
    "sms_number": "+4915550100000",
    "whatsapp_number": "+4915550100001",
    "telegram_token": "1:a",
    "telegram_base_url": "http://127.0.0.1:1",
    "twilio_account_sid": "AC" + "0" * 32,
    "twilio_auth_token": "a",
    "twilio_base_url": "http://127.0.0.1:2",
}


def profile(folder: Path) -> Settings:
    """Return the profile for an empty catalogue."""
    return stage.settings_for(READY, {}, "127.0.0.1:8080", folder)


def test_no_account_from_outside_gets_into_the_demonstration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Real accounts, options and key rings of the environment stay out: the invented numbers may be somebody's."""
    without_settings(monkeypatch)
    alone = profile(tmp_path)
    monkeypatch.setenv("GATEWAY_ACCOUNTS__real__ADAPTER", "sms_twilio")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__real__WEIGHT", "9")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__sms__PAUSED", "true")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__mail__ENVELOPE_SENDER", "real@example.org")
    monkeypatch.setenv("GATEWAY_ADAPTERS", '["email_smtp"]')
    monkeypatch.setenv("GATEWAY_KEYRING_FILE", "/etc/botengang/keyring.json")
    beside = profile(tmp_path)
    assert set(beside.accounts) == {"mail", "sms", "whatsapp", "telegram"}
    assert beside.accounts["sms"].paused is False
    assert "envelope_sender" not in {name.lower() for name in beside.accounts["mail"].options}
    assert (beside.adapters, beside.keyring) == (alone.adapters, tmp_path / "keyring.json")


def test_the_servers_may_come_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """GATEWAY_DATABASE_URL and GATEWAY_REDIS_URL choose the servers of the demonstration."""
    without_settings(monkeypatch)
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql+asyncpg://127.0.0.1/demo")
    monkeypatch.setenv("GATEWAY_REDIS_URL", "redis://127.0.0.1:6379/0")
    found = profile(tmp_path)
    assert found.database == "postgresql+asyncpg://127.0.0.1/demo"
    assert not found.embedded


def test_two_demonstrations_at_once_have_a_folder_each(tmp_path: Path):
    """The second takes a neighbour and leaves the first one's files alone; a later one begins clean."""
    usual = tmp_path / "var" / "demo"
    with stage.clean_folder(usual) as first:
        (first / "mine").touch()
        with stage.clean_folder(usual) as second:
            assert (first, second) == (usual, tmp_path / "var" / "demo-2")
            assert list(second.iterdir()) == []
            assert (first / "mine").exists()
    with stage.clean_folder(usual) as again:
        assert again == usual
        assert list(again.iterdir()) == []
