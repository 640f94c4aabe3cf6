"""The project's files as git would commit them, and what their Python says; the house tests are read off this.

It judges nothing: each test module states its own rule as a function from a root folder to the list of offences, so
that the same function can be shown a small broken tree.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("gateway", "channels", "workers")
LEFT_OUT = frozenset({".git", ".venv", "var", "build", "dist", "node_modules", "__pycache__"})


def files(root: Path = ROOT) -> list[Path]:
    """Return what would be committed, relative to ``root``: tracked and new files, without the ignored ones.

    Outside a git work tree (a small planted tree, an unpacked archive) every file counts but caches and build output.
    """
    if (root / ".git").exists():
        asked = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        named = [Path(name) for name in asked.stdout.split("\0") if name]
        return sorted(path for path in named if (root / path).is_file())
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if not LEFT_OUT.intersection(path.parts) and "_cache" not in path.parts[0])


def text(root: Path, path: Path) -> str:
    """Return the text of a file, or "" where it is not UTF-8 text (a picture, a font)."""
    try:
        return (root / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def product(root: Path = ROOT) -> Iterator[tuple[Path, ast.Module]]:
    """Yield every Python file of the product with its syntax tree: gateway, channels and workers, not the tests."""
    for path in files(root):
        if path.suffix == ".py" and path.parts[0] in PRODUCT:
            yield path, ast.parse((root / path).read_text(encoding="utf-8"), filename=str(path))


def module_of(path: Path) -> str:
    """Return the dotted name of a Python file: ``gateway/store/__init__.py`` is ``gateway.store``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(module: str, places: tuple[str, ...]) -> bool:
    """Tell whether ``module`` is one of ``places`` or lies inside one."""
    return any(module == place or module.startswith(place + ".") for place in places)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of each absolute import, lazy ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def plant(root: Path, tree: Mapping[str, str]) -> Path:
    """Write a small project below ``root`` and return it, to show a rule something that breaks it."""
    for name, content in tree.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    return root
