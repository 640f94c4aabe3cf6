"""Wrong settings: one line names the variable, no traceback comes, and nothing of a password is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import bootstrap
from gateway.settings import Settings, SettingsInvalid, load

SECRET = "zaunkoenig"
DATABASES = (
    f"mysql://u:{SECRET}@h/db",
    f"postgresql://u:{SECRET}@h:{SECRET}/db",
    SECRET,
    f"postgresql://u:{SECRET}@127.0.0.1:1/db?{SECRET}={SECRET}",
    f"postgresql://u:{SECRET}@127.0.0.1:1/db?sslmode={SECRET}",
)
REDISES = (
    f"http://u:{SECRET}@h",
    f"redis://u:{SECRET}@h:{SECRET}/0",
    f"redis://u:{SECRET}@h/0?socket_timeout={SECRET}",
)


async def refused(settings: Settings) -> str:
    """Open a Runtime; return the lines that say why it does not."""
    with pytest.raises(SettingsInvalid) as caught:
        async with bootstrap.open(settings):
            pass
    assert caught.value.__suppress_context__, "a cause quotes the value, and a traceback shows the cause"
    return str(caught.value)


@pytest.mark.parametrize("url", DATABASES)
async def test_a_wrong_database_address_is_one_line_without_its_password(url: str, tmp_path: Path):
    """Another kind of database, a wrong port or an unknown option: the variable is named, its value is not."""
    said = await refused(Settings(data_dir=tmp_path, database_url=url))
    assert said.startswith("GATEWAY_DATABASE_URL: ")
    assert SECRET not in said


@pytest.mark.parametrize("url", REDISES)
async def test_a_wrong_redis_address_is_one_line_without_its_password(
    url: str, tmp_path: Path, ring: object, sqlite_template: Path
):
    """The library's own errors quote parts of the address; ours do not."""
    settings = Settings(
        data_dir=tmp_path,
        keyring_file=tmp_path / "ring.json",
        redis_url=url,
        database_url=f"sqlite:///{sqlite_template}",
    )
    assert ring is not None  # it lies in the file that the settings name
    said = await refused(settings)
    assert said.startswith("GATEWAY_REDIS_URL: ")
    assert SECRET not in said


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path):
    """A file where the data folder should be is said with its path, by the lock and by the key ring."""
    (tmp_path / "file").write_text("")
    settings = Settings(data_dir=tmp_path / "file" / "var")
    with pytest.raises(SettingsInvalid, match=r"GATEWAY_DATA_DIR.*file"), bootstrap.embedded_lock(settings):
        pass
    with pytest.raises(SettingsInvalid, match=r"GATEWAY_DATA_DIR.*file"):
        bootstrap.open_vault(settings)


@pytest.mark.parametrize("name", ["LEASE_S", "UNCERTAIN_S", "SWEEP_S", "CLIENT_PER_S"])
@pytest.mark.parametrize("value", ["inf", "nan", "1e300"])
def test_a_number_that_no_clock_can_count_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    """Infinite and astronomic durations are refused at the start instead of breaking it."""
    monkeypatch.setenv(f"GATEWAY_{name}", value)
    with pytest.raises(SettingsInvalid, match=f"GATEWAY_{name}: "):
        load(_env_file=None)


def test_a_missing_folder_of_secrets_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Starting without the secrets would end in a gateway that nobody can trust: it is said instead."""
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(tmp_path / "nothing"))
    with pytest.raises(SettingsInvalid, match="GATEWAY_SECRETS_DIR: "):
        load(_env_file=None)
