"""docs/channels.md says what the adapters declare (group 18 of the contract)."""

from __future__ import annotations

from pathlib import Path

from channels.kit.contract import Confidentiality, Fact
from channels.kit.matrix import SHIPPED, page, table
from channels.kit.registry import load

PAGE = Path(__file__).parents[3] / "docs" / "channels.md"


def test_the_page_is_current():
    """The committed page is what `python -m channels.kit.matrix` writes now."""
    assert PAGE.read_text("utf-8") == page()


def test_every_shipped_adapter_has_a_column():
    """A channel cannot be added to the product and forgotten in its documentation."""
    shipped = {name for name in SHIPPED if load(name).__module__.startswith("channels.")}
    files = {path.stem for path in (PAGE.parents[1] / "channels").glob("*.py")} - {"__init__"}
    assert shipped == files


def test_declared_ceilings_and_receipts():
    """A-01, B-T7: mail and SMS may carry K2, messengers K1 until somebody raises it; Telegram never says delivered."""
    declared = {name: load(name).capabilities for name in SHIPPED}
    defaults = {one.channel: one.default_ceiling for one in declared.values()}
    assert defaults == {
        "email": Confidentiality.K2,
        "sms": Confidentiality.K2,
        "telegram": Confidentiality.K1,
        "whatsapp": Confidentiality.K1,
        "memory": Confidentiality.K1,
    }
    assert {one.ceiling for one in declared.values()} == {Confidentiality.K2}
    receipts = {one.channel: Fact.DELIVERED in one.receipts for one in declared.values()}
    assert receipts == {"email": False, "sms": True, "telegram": False, "whatsapp": True, "memory": True}


def test_limits():
    """B-T2, B-W8, B-W9: calls per second and account, and per person, and people a day, where the platform wants it."""
    limits = {load(name).capabilities.channel: load(name).capabilities.limits for name in SHIPPED}
    rates = {channel: [(one.scope, one.count, one.per_s) for one in found] for channel, found in limits.items()}
    assert rates == {
        "email": [("account", 50, 1)],
        "sms": [("account", 10, 1)],
        "telegram": [("account", 25, 1), ("recipient", 1, 1)],
        "whatsapp": [("account", 10, 1), ("recipient", 1, 6), ("people", 250, 86_400)],
        "memory": [],
    }


def test_every_option_says_what_it_is_for():
    """An operator finds each adapter's options with a meaning on the page."""
    for name in SHIPPED:
        for option, field in load(name).Options.model_fields.items():
            assert field.description, f"{name}: {option}"
            assert f"| `{option.upper()}` | " in page()


def test_the_table_is_a_table():
    """Every line has the same number of cells, so that it renders."""
    lines = table({name: load(name).capabilities for name in SHIPPED}).splitlines()
    assert {line.count("|") for line in lines} == {len(SHIPPED) + 2}
