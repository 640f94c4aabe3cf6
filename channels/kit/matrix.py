"""Write what the channels can do and which options they take, from their declarations: docs/channels.md.

Reads declarations, knows no adapter. ``python -m channels.kit.matrix > docs/channels.md`` writes the whole page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta

from channels.kit.contract import AdapterOptions, Capabilities, Limit
from channels.kit.registry import load

_HOUR_S = 3600
SHIPPED = ("email_smtp", "sms_twilio", "telegram_bot", "whatsapp_twilio", "memory")

_HEAD = """# Channels

What each shipped channel can do, as its adapter declares it. Written by `python -m channels.kit.matrix`; a test fails
when this page and the code differ. Classes are confidentiality classes: the highest one that a channel carries by
default, and the highest one that the operator may raise it to.

"""


_OPTIONS = """## Options

Written in an account's block: `GATEWAY_ACCOUNTS__<name>__<option>`. What every account has besides is in
[settings.md](settings.md#accounts).
"""


def row(name: str, capabilities: Capabilities) -> Mapping[str, str]:
    """Return one column of the matrix: what is asked, and this adapter's answer."""
    window = capabilities.window
    return {
        "adapter": f"`{name}`",
        "channel": capabilities.channel,
        "looks, best first": _listed(capabilities.formats),
        "longest text": f"{capabilities.max_units} {capabilities.measure}",
        "buttons": f"{capabilities.max_buttons}, {capabilities.max_button_characters} characters"
        if capabilities.max_buttons
        else "-",
        "receipts": _listed(sorted(capabilities.receipts)),
        "inbound": _listed(sorted(capabilities.inbound)),
        "free text only within": f"{window // timedelta(hours=1)} h of their last word" if window else "-",
        "approved texts needed": "outside that time" if capabilities.preapproved else "-",
        "limits": _listed(_limit(one) for one in capabilities.limits),
        "addresses": "good for one account only" if capabilities.bound else "good for every account",
        "class by default, at most": f"{capabilities.default_ceiling.name}, {capabilities.ceiling.name}",
        "processor": f"{capabilities.dataflow.processor} ({capabilities.dataflow.country})",
        "what leaves the house": _listed(capabilities.dataflow.fields),
    }


def table(adapters: Mapping[str, Capabilities]) -> str:
    """Return the matrix as a Markdown table, one column for each adapter."""
    columns = [row(name, capabilities) for name, capabilities in adapters.items()]
    first, *rest = columns[0]
    lines = [_line(first, [one[first] for one in columns]), "|---" * (len(columns) + 1) + "|"]
    lines += [_line(name, [one[name] for one in columns]) for name in rest]
    return "\n".join(lines) + "\n"


def options(name: str, kind: type[AdapterOptions]) -> str:
    """Return an adapter's options as a Markdown table with a heading."""
    lines = [f"### `{name}`", "", "| option | default | meaning |", "|---|---|---|"]
    for option, field in kind.model_fields.items():
        value = field.get_default(call_default_factory=True)
        value = list(value) if isinstance(value, tuple) else value
        unset = value is None or value in ("", {})
        default = "required" if field.is_required() else "unset" if unset else f"`{value}`"
        lines.append(f"| `{option.upper()}` | {default} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return docs/channels.md. Raises AdapterUnknown where the project is not installed."""
    adapters = {name: load(name) for name in SHIPPED}
    tables = [options(name, adapter.Options) for name, adapter in adapters.items()]
    return "\n".join([_HEAD + table({name: one.capabilities for name, one in adapters.items()}), _OPTIONS, *tables])


def _limit(limit: Limit) -> str:
    span = f"{limit.per_s / 3600:g} h" if limit.per_s >= _HOUR_S else f"{limit.per_s:g} s"
    if limit.scope == "people":
        return f"{limit.count} different people in {span}"
    return f"{limit.count} in {span} for each {limit.scope}"


def _line(name: str, cells: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "-"


if __name__ == "__main__":
    sys.stdout.write(page())
