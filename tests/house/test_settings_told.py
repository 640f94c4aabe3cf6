"""docs/settings.md and .env.example tell every setting there is and none that is not, straight from the Settings tree.

Where they differ, the assertion shows the right text: copy it. Their prose around the tables is free.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway import bootstrap
from gateway.egress import Http
from gateway.settings import AccountSettings, Release, Settings, load
from tests.house import tree
from tests.support.clock import ManualClock

NAME = re.compile(r"\bGATEWAY_[A-Z0-9]\w*(?:<\w+>\w*)*")
TOLD_ELSEWHERE = {"GATEWAY_SECRETS_DIR"}  # read before the tree exists: where the files of secrets are


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "unset" if value is None or value is PydanticUndefined or value == {} else f"`{value}`"


def rows(model: type[BaseModel], prefix: str) -> list[str]:
    """Return the Markdown row of each setting of ``model``; blocks of settings have tables of their own."""
    return [
        f"| `{prefix}{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in model.model_fields.items()
        if name not in {"accounts", "release"}
    ]


def told() -> list[str]:
    """Return every row that docs/settings.md must have."""
    return [
        *rows(Settings, "GATEWAY_"),
        *rows(AccountSettings, "GATEWAY_ACCOUNTS__<name>__"),
        *rows(Release, "GATEWAY_ACCOUNTS__<name>__RELEASE__"),
    ]


def unknown(text: str) -> list[str]:
    """Return the settings that a text names and the Settings tree does not have."""
    return sorted({name for name in NAME.findall(text) if name not in TOLD_ELSEWHERE and not _exists(name)})


def _exists(name: str) -> bool:
    field, *inner = name.removeprefix("GATEWAY_").lower().split("__")
    if field != "accounts":
        return field in Settings.model_fields and not inner
    if len(inner) > 2 and inner[1] == "release":
        return inner[2] in Release.model_fields
    return len(inner) > 1  # the rest of an account's block is the adapter's; it checks its own options


def test_every_setting_is_in_the_document():
    """An operator finds each setting with its default and meaning, in the words of the code."""
    text = tree.text(tree.ROOT, Path("docs/settings.md"))
    assert [row for row in told() if row not in text.splitlines()] == []


def test_every_setting_is_in_the_example():
    """Whoever copies .env.example sees every switch there is."""
    text = tree.text(tree.ROOT, Path(".env.example"))
    missing = [f"GATEWAY_{name.upper()}" for name in Settings.model_fields if f"GATEWAY_{name.upper()}" not in text]
    assert missing == []


def test_no_document_names_a_setting_that_is_not_there():
    """Documents, examples, compose.yaml and the Dockerfile keep up when a setting is renamed."""
    places = [path for path in tree.files() if path.suffix in {".md", ".yaml", ".example"} or path.name == "Dockerfile"]
    assert {str(path): names for path in places if (names := unknown(tree.text(tree.ROOT, path)))} == {}


def test_the_example_is_itself_a_valid_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
):
    """Copying .env.example to .env, with every commented line switched on, suits the settings and every adapter."""
    lines = tree.text(tree.ROOT, Path(".env.example")).splitlines()
    switched_on = [line.removeprefix("#") for line in lines if re.match(r"#?GATEWAY_", line)]
    (tmp_path / ".env").write_text("\n".join(switched_on), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    settings = load()
    built = bootstrap.open_accounts(settings, http=Http(), clock=clock)
    assert set(built) == {"mail", "sms", "whatsapp", "telegram"}
    assert built["mail"].facts_at(clock.now()).released


@pytest.mark.parametrize("name", ["GATEWAY_DATABSE_URL", "GATEWAY_LISTEN__PORT", "GATEWAY_ACCOUNTS__a__RELEASE__BOSS"])
def test_an_invented_setting_is_named(name: str):
    """A slip of the pen in a document is seen, at every level of the tree."""
    assert unknown(f"Set `{name}=1` and `GATEWAY_ACCOUNTS__<name>__HOST`.") == [name]
