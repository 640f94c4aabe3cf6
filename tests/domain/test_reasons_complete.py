"""The words that other rooms write down are read from their source: each has to be explained."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from channels.kit import errors
from channels.kit.errors import ChannelError
from gateway.domain import errors as caller_errors
from gateway.domain.reasons import SENTENCES, WIDER, explain

HOME = Path(__file__).parents[2]
KINDS = {name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, ChannelError)}


def trees(*folders: str) -> Iterator[ast.AST]:
    """Yield every node of the Python files in and below these folders; the sandbox is a program of its own."""
    for folder in folders:
        for path in sorted((HOME / folder).rglob("*.py")):
            if "sandbox" not in path.parts:
                yield from ast.walk(ast.parse(path.read_text()))


def text_of(node: ast.AST | None) -> str:
    """Return the string that a node is, "" for every other node."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def adapters_words() -> Iterator[tuple[str, type[ChannelError]]]:
    """Yield (word, class): ``Refused(code="word")``, and ``…, Refused, "word", …`` in a table."""
    for node in trees("channels"):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            words = [text_of(one.value) for one in node.keywords if one.arg == "code"]
            yield from ((word, KINDS[node.func.id]) for word in words if word)
        if isinstance(node, ast.Tuple):
            for name, word in zip(node.elts, node.elts[1:], strict=False):
                if isinstance(name, ast.Name) and name.id in KINDS and text_of(word):
                    yield text_of(word), KINDS[name.id]


def our_words() -> Iterator[str]:
    """Yield what the verbs write as ``code`` or ``event`` of a delivery; a caller's errors explain themselves."""
    for node in trees("gateway/usecases"):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if not hasattr(caller_errors, name):
                yield from (text_of(one.value) for one in node.keywords if one.arg in {"code", "event"})
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (text_of(value) for key, value in pairs if text_of(key) == "event")


def test_every_word_of_an_adapter_is_explained_as_its_class():
    """A narrower word has a sentence of its own, or that of the class it is raised as."""
    words = set(adapters_words())
    assert len(words) > 20, "the reading of the source no longer finds the tables"
    wrong = {
        (word, kind.__name__) for word, kind in words if word not in SENTENCES and WIDER.get(word) != kind.default_code
    }
    assert not wrong


def test_every_word_of_the_verbs_is_explained():
    """What the timeline shows beside a delivery has a sentence."""
    words = {word for word in our_words() if word}
    assert len(words) > 5, "the reading of the source no longer finds the words"
    assert not {word for word in words if word not in SENTENCES and word not in WIDER}


def test_wider_words_lead_to_a_sentence():
    """No word points to nothing, and none has both a sentence and a wider word."""
    assert set(WIDER.values()) <= set(SENTENCES)
    assert not set(WIDER) & set(SENTENCES)
    assert all(explain(word) == SENTENCES[wide].de for word, wide in WIDER.items())
