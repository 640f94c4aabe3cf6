"""Outside the adapters no code asks which channel it is: what differs is in the adapter's declared capabilities.

A channel's name as plain content (a default order, a test) is not meant; a branch or a table by channel is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree

CHANNELS = frozenset({"email", "sms", "telegram", "whatsapp"})
PROVIDERS = ("twilio", "botfather", "api.telegram", "graph.facebook", "smtplib")
# Adapters are where the names belong. The demo is a settings profile: it has to name the adapters that it configures.
EXEMPT = ("channels", "gateway.demo")


def _names(node: ast.AST) -> set[str]:
    """Return the channel names among the literals of an expression."""
    literals = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return literals & CHANNELS


def _branches(code: ast.AST) -> Iterator[int]:
    for node in ast.walk(code):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(_names(side) for side in sides) and "channel" in ast.unparse(node).lower():
                yield node.lineno
        elif isinstance(node, ast.Match) and "channel" in ast.unparse(node.subject).lower():
            yield from (case.pattern.lineno for case in node.cases if _names(case.pattern))
        elif isinstance(node, ast.Dict):
            keys = {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
            if len(keys & CHANNELS) > 1:
                yield node.lineno


def branches(root: Path) -> list[str]:
    """Return each comparison, ``match`` or table that depends on which channel it is."""
    return [
        f"{path}:{line} asks which channel"
        for path, code in tree.product(root)
        if not tree.within(tree.module_of(path), EXEMPT)
        for line in _branches(code)
    ]


def _docstrings(code: ast.AST) -> set[int]:
    """Return the ids of the constants that are docstrings: prose may name a provider."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = (node.body for node in ast.walk(code) if isinstance(node, owners) and node.body)
    return {id(body[0].value) for body in bodies if isinstance(body[0], ast.Expr)}


def _words(code: ast.AST) -> Iterator[tuple[int, str]]:
    prose = _docstrings(code)
    for node in ast.walk(code):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) | ast.keyword(arg=str(word)):
                yield node.lineno, word
            case ast.FunctionDef(name=word) | ast.AsyncFunctionDef(name=word) | ast.ClassDef(name=word):
                yield node.lineno, word
            case ast.alias(name=word):
                yield node.lineno, word
            case ast.Constant(value=str(word)) if id(node) not in prose:
                yield node.lineno, word


def provider_words(root: Path) -> list[str]:
    """Return each name or literal outside the adapters that belongs to one provider."""
    return [
        f"{path}:{line} says {provider}"
        for path, code in tree.product(root)
        if not tree.within(tree.module_of(path), EXEMPT)
        for line, word in _words(code)
        for provider in PROVIDERS
        if provider in word.lower()
    ]


def test_no_code_outside_the_adapters_asks_which_channel():
    """A new channel is one file, one entry point and one settings block, never a branch somewhere else."""
    assert branches(tree.ROOT) == []


def test_no_provider_is_named_outside_its_adapter():
    """The gateway does not know whom it sends through."""
    assert provider_words(tree.ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "if channel == 'sms':\n    pass",
        "ok = delivery.channel in ('email', 'post')",
        "match plan.channel:\n    case 'telegram':\n        pass",
        "LIMITS = {'sms': 160, 'email': 0}",
    ],
)
def test_a_branch_by_channel_is_named(tmp_path: Path, line: str):
    """Comparison, membership, ``match`` and a table are seen in the gateway and allowed in an adapter."""
    root = tree.plant(tmp_path, {"gateway/usecases/deliver.py": line + "\n", "channels/email_smtp.py": line + "\n"})
    assert [one.split(":")[0] for one in branches(root)] == ["gateway/usecases/deliver.py"]


def test_a_purpose_called_email_is_no_branch(tmp_path: Path):
    """The rule is about channels; a field of a form may be called email."""
    assert branches(tree.plant(tmp_path, {"gateway/a.py": "ok = field == 'email'\n"})) == []


@pytest.mark.parametrize("line", ["x = 'TWILIO_SID'", "def twilio_error(): ...", "y.twilio = 1", "f(twilio=2)"])
def test_a_provider_word_is_named(tmp_path: Path, line: str):
    """Names and literals count; a docstring may explain."""
    root = tree.plant(tmp_path, {"gateway/a.py": f'"""Not Twilio\'s."""\n{line}\n'})
    assert len(provider_words(root)) == 1
