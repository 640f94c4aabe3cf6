"""No file is over 400 lines and no function over 40, tests included, and nobody is exempt (house.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house import tree

MAX_FILE = 400
MAX_FUNCTION = 40
MEASURED = {".py", ".ts", ".js", ".css", ".html"}


def long_files(root: Path) -> list[str]:
    """Return "path: lines" of each source file that is too long."""
    counted = ((path, len(tree.text(root, path).splitlines())) for path in tree.files(root) if path.suffix in MEASURED)
    return [f"{path}: {lines} lines" for path, lines in counted if lines > MAX_FILE]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function from ``def`` to its end, without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def long_functions(root: Path) -> list[str]:
    """Return "path:line name: lines" of each function that is too long."""
    return [
        f"{path}:{node.lineno} {node.name}: {length(node)} lines"
        for path in tree.files(root)
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(tree.text(root, path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > MAX_FUNCTION
    ]


def test_no_file_is_over_the_ceiling():
    """Every source file can be read in one sitting."""
    assert long_files(tree.ROOT) == []


def test_no_function_is_over_the_ceiling():
    """Every function fits on one screen."""
    assert long_functions(tree.ROOT) == []


@pytest.mark.parametrize("name", ["gateway/a.py", "tests/a.py", "gateway/http/static/a.css", "web/a.ts"])
def test_a_file_of_401_lines_is_named(tmp_path: Path, name: str):
    """The rule sees every kind of source file, the tests too, and stops exactly at the ceiling."""
    root = tree.plant(tmp_path, {name: "\n" * 401, "gateway/fits.py": "\n" * 400})
    assert long_files(root) == [f"{name}: 401 lines"]


def test_a_function_of_41_lines_is_named_and_its_docstring_does_not_count(tmp_path: Path):
    """The ceiling is on what a function does, nested and async functions too, not on how well it is explained."""
    docs = '    """One.\n\n    Two.\n    """\n'
    fits = "def fits():\n" + docs + "    x = 1\n" * 39
    over = "class A:\n    async def over(self):\n" + "        x = 1\n" * 40
    root = tree.plant(tmp_path, {"tests/test_a.py": fits + over})
    assert [line.split()[1:] for line in long_functions(root)] == [["over:", "41", "lines"]]
