"""The Settings tree: the only reader of the environment.

Names: ``GATEWAY_`` + field, ``__`` between levels; also from ``.env``, and from files in ``GATEWAY_SECRETS_DIR`` that
are named like the variable. An account's block holds our fields (below) and the options that its adapter checks.
"""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from channels.kit.contract import Confidentiality
from gateway.usecases.faults import check as check_fault

_LAST_PORT = 65_535
_LEAST_TOKEN = 24
_FOR_TESTS = ("clock_start", "clock_offset_s", "fault_points", "sqlite_max_pages")


class SettingsInvalid(Exception):
    """The environment is wrong; ``lines`` has one line for each mistake, with the variable's name and the remedy."""

    def __init__(self, lines: list[str]) -> None:
        """Keep the lines."""
        self.lines = lines
        super().__init__("\n".join(lines))


class Release(BaseModel):
    """The provider record that releases an account (A-15, section 80 SGB X). Incomplete or out of date: no message."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str = Field(min_length=1, description="company that processes the messages")
    contract_on: date = Field(description="date of the processing contract (Art. 28 DSGVO)")
    notified_on: date = Field(description="date of the notice under section 80 SGB X")
    region: str = Field(min_length=2, description="where the data is processed")
    approved_by: str = Field(min_length=1, description="who released it (data protection officer)")
    review_by: date = Field(description="the release ends on this day")


class AccountSettings(BaseModel):
    """One configured way to send on a channel; every further field belongs to the adapter."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    adapter: str = Field(description="entry point in the group botengang.adapters")
    ceiling: Confidentiality | None = Field(default=None, description="highest class it may carry: K0, K1 or K2")
    release: Release | None = Field(default=None, description="provider record; without it nothing is sent")
    weight: int = Field(default=1, ge=1, description="preference among accounts of one channel")
    paused: bool = Field(default=False, description="keep messages instead of sending them")
    account_per_s: float | None = Field(
        default=None, gt=0, le=1_000_000, description="replaces the adapter's rate for the account"
    )
    recipient_per_s: float | None = Field(
        default=None, gt=0, le=1_000_000, description="replaces the adapter's rate for a person"
    )
    people_per_day: int | None = Field(
        default=None, ge=0, description="replaces the adapter's number of different people in 24 hours; 0: no limit"
    )
    account_per_day: int | None = Field(default=None, ge=0, description="most messages in 24 hours; 0: no limit")
    approved: dict[str, str] = Field(
        default_factory=dict, description="provider's ids of approved templates, by <template>.<language>"
    )

    @field_validator("ceiling", mode="before")
    @classmethod
    def _class_by_name(cls, value: Any) -> Any:
        return Confidentiality[value] if isinstance(value, str) and value in Confidentiality.__members__ else value

    def __repr_args__(self) -> Any:
        """Show our own fields only: the adapter's options hold secrets."""
        return [(name, getattr(self, name)) for name in type(self).model_fields]

    @property
    def options(self) -> dict[str, Any]:
        """Return the adapter's part of the block."""
        return dict(self.model_extra or {})


class Settings(BaseSettings):
    """Everything an operator can set. ``.env.example`` and docs/settings.md are checked against this class."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        nested_model_default_partial_update=True,
    )

    profile: Literal["production", "demo", "test"] = Field(
        default="production", description="demo and test allow a shifted clock; production refuses it at start"
    )
    data_dir: Path = Field(default=Path("var"), description="where the embedded database, key ring and lock file are")
    database_url: SecretStr | None = Field(
        default=None, description="postgresql+asyncpg://… for the scaled mode; unset: SQLite below data_dir"
    )
    redis_url: SecretStr | None = Field(
        default=None, description="redis://… for the scaled mode; unset: a doorbell inside the process"
    )
    keyring_file: Path | None = Field(default=None, description="key ring, outside the database; unset: in data_dir")
    public_url: str = Field(default="http://127.0.0.1:8080", description="how the outside reaches us: links, webhooks")
    listen: str = Field(default="127.0.0.1:8080", description="host:port that `serve` and `up` bind to")
    bounces_listen: str | None = Field(
        default=None, description="host:port where your relay hands bounces over (LMTP); unset: none are taken"
    )
    work_listen: str | None = Field(
        default=None, description="host:port where `work` answers /livez, /readyz and /metrics; unset: nowhere"
    )
    metrics_token: SecretStr | None = Field(
        default=None, description="bearer token for /metrics; unset: only callers on the same machine are answered"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="least level logged")
    log_json: bool = Field(default=False, description="one JSON object a line instead of text")

    sender_name: str = Field(default="Main-Taunus-Kreis", description="neutral sender in mails; never an office")
    imprint_url: str = Field(default="https://www.example.org/impressum", description="Impressum in every mail")
    privacy_url: str = Field(default="https://www.example.org/datenschutz", description="Datenschutz in every mail")
    accessibility_url: str = Field(
        default="https://www.example.org/barrierefreiheit", description="Barrierefreiheit on pages and in mails"
    )
    personal_url: str = Field(default="https://www.example.org/kontakt", description="'lieber persönlich?' in mails")
    portal_url: str = Field(
        default="https://www.example.org/portal", description="link of a K1 twin whose original had none"
    )

    adapters: list[str] | None = Field(default=None, description="allow-list of adapters; unset: all installed")
    accounts: dict[str, AccountSettings] = Field(default_factory=dict, description="configured accounts by name")

    default_expiry_h: float = Field(default=72.0, gt=0, le=24 * 30, description="life of a notification, hours")
    client_per_s: float = Field(
        default=200.0, gt=0, le=1_000_000, description="requests a second and client before 429"
    )
    max_body_bytes: int = Field(default=1_000_000, gt=0, description="largest single request")
    max_batch_bytes: int = Field(default=32_000_000, gt=0, description="largest batch request")
    lease_s: float = Field(default=30.0, ge=5, le=3600, description="how long a claim is ours, seconds")
    uncertain_s: float = Field(
        default=3600.0, gt=0, le=30 * 86_400, description="how long an unknown outcome waits, seconds"
    )
    failover_after_s: float = Field(
        default=300.0, ge=0, description="how long an account is down before the next channel takes over, seconds"
    )
    callback_private: bool = Field(
        default=False, description="allow endpoints of clients inside your network, and over plain http"
    )
    sweep_s: float = Field(default=1.0, gt=0, le=60, description="pause between two looks of the sweeper, seconds")
    concurrency: int = Field(default=16, ge=1, le=256, description="chunks that a worker works on at once")
    retain_variables_days: float = Field(
        default=30.0, gt=0, description="variables of a notification, days after it ended"
    )
    retain_variables_k2_days: float = Field(
        default=7.0, gt=0, description="the same for texts of class K2, days after it ended"
    )
    retain_raw_webhooks_days: float = Field(default=7.0, gt=0, description="webhook calls we could not read, days")
    retain_inbound_days: float = Field(default=30.0, gt=0, description="what people wrote to us, days")
    retain_keys_days: float = Field(default=7.0, gt=0, description="idempotency keys, days")
    retain_metadata_days: float = Field(
        default=365.0, gt=0, description="notifications with deliveries, attempts, receipts and timeline, days"
    )
    purge_hour: int = Field(default=3, ge=0, le=23, description="hour of the nightly purge, German time")
    clock_start: datetime | None = Field(default=None, description="a fixed start of the clock (demo and test only)")
    clock_offset_s: float = Field(
        default=0.0, description="seconds that the clock is ahead, the same after a restart (demo and test only)"
    )
    fault_points: dict[str, str] = Field(
        default_factory=dict, description="where to die or wait, by point: exit:3 or sleep:0.5 (demo and test only)"
    )
    sqlite_max_pages: int | None = Field(
        default=None, gt=0, description="pages after which the embedded database is full (demo and test only)"
    )

    @field_validator("public_url", "portal_url", "imprint_url", "privacy_url", "personal_url", "accessibility_url")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must be an absolute http(s) address")
        return value.rstrip("/")

    @field_validator("listen", "bounces_listen", "work_listen")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > _LAST_PORT:
            raise ValueError("must be host:port, such as 127.0.0.1:8080")
        return value

    @field_validator("fault_points")
    @classmethod
    def _points(cls, value: dict[str, str]) -> dict[str, str]:
        for name, word in value.items():
            check_fault(name, word)
        return value

    @field_validator("metrics_token")
    @classmethod
    def _long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _LEAST_TOKEN:
            raise ValueError(f"needs {_LEAST_TOKEN} characters or more: openssl rand -hex 32")
        return value

    @model_validator(mode="after")
    def _together(self) -> Settings:
        for name in _FOR_TESTS if self.profile == "production" else ():
            if getattr(self, name):
                raise ValueError(f"{name}: refused in production; unset GATEWAY_{name.upper()}")
        if self.clock_start is not None and self.clock_start.tzinfo is None:
            raise ValueError("clock_start: needs a time zone, such as 2027-03-01T10:00:00Z")
        if self.redis_url is not None and self.database_url is None:
            raise ValueError("redis_url: several processes need GATEWAY_DATABASE_URL too; unset it to run embedded")
        return self

    @property
    def examples(self) -> list[str]:
        """Return the settings that still name the example's pages."""
        pages = ("imprint_url", "privacy_url", "accessibility_url", "personal_url", "portal_url")
        return [f"GATEWAY_{name.upper()}" for name in pages if "//www.example.org" in getattr(self, name)]

    @property
    def database(self) -> str:
        """Return the database's address."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.database_file}"

    @property
    def database_file(self) -> Path:
        """Return the embedded database's path."""
        return self.data_dir.absolute() / "botengang.db"

    @property
    def keyring(self) -> Path:
        """Return the key ring's path."""
        return self.keyring_file or self.data_dir / "keyring.json"

    @property
    def embedded(self) -> bool:
        """Tell whether everything runs in one process without servers."""
        return self.redis_url is None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library calls us by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add files of secrets below the environment."""
        files = os.environ.get("GATEWAY_SECRETS_DIR")
        if files is None:
            return init_settings, env_settings, dotenv_settings
        secrets = NestedSecretsSettingsSource(
            file_secret_settings, secrets_dir=files, secrets_prefix="GATEWAY_", secrets_nested_delimiter="__"
        )
        return init_settings, env_settings, dotenv_settings, secrets


def load(**given: Any) -> Settings:
    """Read the environment once. Raises SettingsInvalid with one line for each mistake."""
    lines = [
        f"{name}: no such setting; compare the name with .env.example" for name in sorted(os.environ) if _unknown(name)
    ]
    folder = os.environ.get("GATEWAY_SECRETS_DIR")
    if folder is not None and not Path(folder).is_dir():  # the library would warn, and start without the secrets
        raise SettingsInvalid([*lines, "GATEWAY_SECRETS_DIR: there is no such folder"])
    try:
        settings = Settings(**given)
    except SettingsError as exc:
        field = str(exc).partition('"')[2].partition('"')[0]
        lines.append(f"GATEWAY_{field.upper()}: this is no JSON; lists and tables are written as JSON")
        raise SettingsInvalid(lines) from None
    except ValidationError as exc:
        lines += [_line(error) for error in exc.errors(include_input=False, include_url=False)]
        raise SettingsInvalid(lines) from None
    if lines:
        raise SettingsInvalid(lines)
    return settings


def forget_environment() -> None:
    """Take every setting out of this process's environment: a run of its own must not meet anybody's accounts."""
    for name in [one for one in os.environ if one.upper().startswith("GATEWAY_")]:
        del os.environ[name]


def _unknown(name: str) -> bool:
    if not name.upper().startswith("GATEWAY_"):
        return False
    field = name.upper().removeprefix("GATEWAY_").partition("__")[0].lower()
    return field not in Settings.model_fields and field != "secrets_dir"


def _line(error: Any) -> str:
    path = "__".join(str(part).upper() for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if not path:  # what is wrong about several settings together names one of them first
        path, _, message = message.partition(": ")
    name = f"GATEWAY_{path.upper()}"
    if error["type"] == "extra_forbidden":
        message = "no such setting; compare the name with .env.example"
    return f"{name}: {message}"
