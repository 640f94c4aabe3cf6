"""What may lie in the repository at all: known top-level entries, and no trace of a machine, a registry or a tool."""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

import pytest

from tests.house import tree

TOP = frozenset(
    [
        ".ci",
        ".dockerignore",
        ".editorconfig",
        ".env.example",
        ".gitattributes",
        ".gitignore",
        "CHANGELOG.md",
        "Dockerfile",
        "LICENSE",
        "Makefile",
        "README.md",
        "benchmarks",
        "channels",
        "compose.yaml",
        "docs",
        "gateway",
        "package-lock.json",
        "package.json",
        "publiccode.yml",
        "pyproject.toml",
        "requirements-dev.lock",
        "requirements.lock",
        "templates",
        "tests",
        "workers",
    ]
)
MAX_BYTES = 300_000
# The bar is taken out before use, so that this file holds none of the traces itself.
TRACES = {
    what: re.compile(pattern.replace("|-|", ""), re.MULTILINE)
    for what, pattern in {
        "a registry's host": r"py|-|pi\.org|python|-|hosted|np|-|mjs\.|registry\.(?:np|-|m|yarn)|deb\.debi|-|an\.org",
        "a path of one machine": r"(?:^|[^A-Za-z0-9_./-])/(?:wo|-|rk|fa|-|rm|ro|-|ot|ho|-|me|Us|-|ers)/[A-Za-z]",
        "a folder beside the repository": r"\.\./sha|-|red\b",
    }.items()
}
# Names of products for writing code, as the first 16 digits of their SHA-256: none of them has a place in this one.
OUT_OF_PLACE = frozenset(
    [
        "c857d09db23e6822",
        "c70eca6b0f88f44d",
        "3ea125d0bff386e6",
        "60965168ce762e94",
        "7d3194f79e645c42",
        "053ea4804ef1bb33",
        "487b91042c7cf27a",
        "de2187af3fb01170",
        "57de4cf40144bdf7",
    ]
)


def unexpected(root: Path) -> list[str]:
    """Return the top-level entries that nobody agreed on."""
    return sorted({path.parts[0] for path in tree.files(root)} - TOP)


def traces(root: Path) -> list[str]:
    """Return "path:line what" for each trace of where or with what a file was made."""
    found = []
    for path in tree.files(root):
        content = tree.text(root, path)
        for what, pattern in TRACES.items():
            found += [
                f"{path}:{content.count(chr(10), 0, hit.start()) + 1} {what}" for hit in pattern.finditer(content)
            ]
        words = set(re.findall(r"[a-z]+", content.lower()))
        found += [f"{path} says {word}" for word in sorted(words) if _digest(word) in OUT_OF_PLACE]
    return found


@cache
def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()[:16]


def heavy(root: Path) -> list[str]:
    """Return the files that are too big to be something written here."""
    return [str(path) for path in tree.files(root) if (root / path).stat().st_size > MAX_BYTES]


def test_the_top_level_holds_only_what_was_agreed():
    """The first listing of the repository stays readable."""
    assert unexpected(tree.ROOT) == []


def test_no_file_tells_of_a_machine_a_registry_or_a_tool():
    """A clone works anywhere: no host, path or tool of whoever wrote it is in it."""
    assert traces(tree.ROOT) == []


def test_no_file_is_over_300_kb():
    """Third-party code is installed by its package name, never committed."""
    assert heavy(tree.ROOT) == []


def test_every_package_has_its_docstring():
    """Whoever opens a folder learns in one sentence what it is for."""
    assert [str(path) for path, code in tree.product() if not ast.get_docstring(code)] == []


def test_a_new_top_level_entry_is_named(tmp_path: Path):
    """A folder that appears beside the agreed ones is seen."""
    assert unexpected(tree.plant(tmp_path, {"scripts/a.sh": "", "README.md": ""})) == ["scripts"]


@pytest.mark.parametrize(
    "line",
    [
        "index = https://py|-|pi.org/simple",
        "cd /wo|-|rk/main",
        "see ../sha|-|red/notes.md",
        "written with Cl|-|aude",
    ],
)
def test_a_trace_is_named(tmp_path: Path, line: str):
    """Each kind of trace is seen, in any text file."""
    assert len(traces(tree.plant(tmp_path, {"docs/a.md": "\n" + line.replace("|-|", "") + "\n"}))) == 1


def test_a_path_inside_a_container_is_no_trace(tmp_path: Path):
    """Paths that mean the same on every machine are fine."""
    assert traces(tree.plant(tmp_path, {"Dockerfile": "WORKDIR /app/gateway\nRUN ls /var/lib/botengang\n"})) == []


def test_a_heavy_file_is_named(tmp_path: Path):
    """The ceiling is exact."""
    root = tree.plant(tmp_path, {"docs/a.txt": "x" * MAX_BYTES, "docs/b.txt": "x" * (MAX_BYTES + 1)})
    assert heavy(root) == ["docs/b.txt"]
