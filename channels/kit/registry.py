"""Find installed adapters by their entry point name.

Imports only the adapter that is asked for: a public body does not run surprise code. Builds none; that is the core's.
Standard: the Python entry points specification, group ``botengang.adapters``.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points

from channels.kit.contract import Adapter, AdapterOptions, Capabilities

GROUP = "botengang.adapters"


class AdapterUnknown(LookupError):
    """No usable adapter of that name; the text names the remedy and is fit for an operator."""


def installed() -> tuple[str, ...]:
    """Return the names of all installed adapters, sorted; imports none of them."""
    return tuple(sorted({one.name for one in _offered(tuple(sys.path))}))


def load(name: str, *, allowed: Collection[str] | None = None) -> type[Adapter]:
    """Return the adapter class called ``name``.

    ``allowed``: the names that the settings permit; None permits every installed one.
    Raises AdapterUnknown if it is not permitted, not installed, installed twice, broken, or no adapter.
    """
    if allowed is not None and name not in allowed:
        raise AdapterUnknown(f"adapter {name!r} is not allowed by the settings; allowed: {_listed(allowed)}")
    found = set(_offered(tuple(sys.path)).select(name=name))
    if not found:
        raise AdapterUnknown(
            f"no adapter {name!r} is installed; installed: {_listed(installed())}. "
            "A new entry point is invisible until its package is installed again (pip install)."
        )
    if len(found) > 1:
        values = _listed(one.value for one in found)
        raise AdapterUnknown(f"adapter {name!r} is offered by several packages ({values}); uninstall all but one")
    return _checked(name, found.pop())


@lru_cache(maxsize=1)
def _offered(_path: tuple[str, ...]) -> EntryPoints:
    """Read every installed package's list once for a search path: with a hundred packages it takes a while."""
    return entry_points(group=GROUP)


def _checked(name: str, entry: EntryPoint) -> type[Adapter]:
    """Import the class and look at what the core reads before it builds one."""
    try:
        cls = entry.load()
    except Exception as exc:
        raise AdapterUnknown(f"adapter {name!r} ({entry.value}) cannot be imported: {type(exc).__name__}") from exc
    capabilities, options = getattr(cls, "capabilities", None), getattr(cls, "Options", None)
    if not isinstance(capabilities, Capabilities):
        raise AdapterUnknown(f"adapter {name!r} ({entry.value}) has no `capabilities`")
    if not (isinstance(options, type) and issubclass(options, AdapterOptions)):
        raise AdapterUnknown(f"adapter {name!r} ({entry.value}): `Options` is no subclass of AdapterOptions")
    missing = [one for one in ("address_of", "encode", "send", "close") if not callable(getattr(cls, one, None))]
    if missing:
        raise AdapterUnknown(f"adapter {name!r} ({entry.value}) lacks {_listed(missing)}")
    adapter: type[Adapter] = cls
    return adapter


def _listed(names: Iterable[str]) -> str:
    """Return names for a sentence, in a stable order."""
    return ", ".join(sorted(names)) or "none"
