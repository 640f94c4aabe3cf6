"""Adapters are found by name, and an operator is told what to do when one is not."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from channels.kit.registry import AdapterUnknown, installed, load

SHIPPED = ("email_smtp", "memory", "sms_twilio", "telegram_bot", "whatsapp_twilio")


def offer(folder: Path, name: str, module: str, code: str, value: str) -> None:
    """Install a package with one module and one entry point into ``folder``."""
    (folder / f"{module}.py").write_text(code)
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[botengang.adapters]\n{name} = {value}\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose packages count as installed."""
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


def test_all_shipped_adapters_load():
    """Every channel of the product is installed under its name."""
    assert set(SHIPPED) <= set(installed())
    assert {load(name).capabilities.channel for name in SHIPPED} == {"email", "memory", "sms", "telegram", "whatsapp"}


def test_an_unknown_name_lists_what_there_is():
    """The error names the installed adapters and says that a new entry point needs an installation."""
    with pytest.raises(AdapterUnknown) as caught:
        load("brieftaube")
    assert all(name in str(caught.value) for name in ("'brieftaube'", *SHIPPED, "installed again"))


def test_the_allow_list_holds_before_anything_is_imported(folder: Path):
    """A public body runs no surprise code: what is not allowed is not even imported."""
    offer(folder, "ueberraschung", "surprise_a", "raise RuntimeError('imported')", "surprise_a:X")
    with pytest.raises(AdapterUnknown, match="not allowed by the settings; allowed: email_smtp"):
        load("ueberraschung", allowed=("email_smtp",))
    assert load("email_smtp", allowed=("email_smtp",)).capabilities.channel == "email"


@pytest.mark.parametrize(
    ("code", "value", "says"),
    [
        ("raise RuntimeError('geheim')", "broken_{}:X", "cannot be imported: RuntimeError"),
        ("class X: pass", "broken_{}:X", "has no `capabilities`"),
        ("", "broken_{}:Missing", "cannot be imported: AttributeError"),
        (
            "from channels.memory import Memory\nclass X(Memory):\n    Options = dict",
            "broken_{}:X",
            "no subclass of AdapterOptions",
        ),
        ("from channels.memory import Memory\nclass X(Memory):\n    send = None", "broken_{}:X", "lacks send"),
    ],
)
def test_a_broken_adapter_is_named_with_its_fault(folder: Path, code: str, value: str, says: str):
    """An import error or a class that is no adapter stops the start with a sentence, not with a trace."""
    module = f"broken_{abs(hash((code, value)))}"
    offer(folder, "kaputt", module, code, value.replace("broken_{}", module))
    with pytest.raises(AdapterUnknown, match=says) as caught:
        load("kaputt")
    assert "geheim" not in str(caught.value)


def test_two_packages_with_one_name_are_refused(folder: Path):
    """Which of two packages sends is never left to chance."""
    offer(folder, "memory", "impostor", "from channels.memory import Memory as X", "impostor:X")
    with pytest.raises(AdapterUnknown, match=r"several packages \(channels.memory:Memory, impostor:X\)"):
        load("memory")
