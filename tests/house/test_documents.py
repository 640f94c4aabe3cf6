"""What the documents say exists, exists: links, `make` targets, `botengang` commands with their options, and the words.

It reads README.md, CHANGELOG.md and docs/; settings have a test of their own (test_settings_told).
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from typer import Typer
from typer.main import get_command

from tests.house import tree

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
SHELL = {"sh", "bash", "shell", "console"}
WORDS = """
notification; recipient; address; contact point; consent; preference; suppression; purpose; confidentiality
class; template; version; variant; variables; segment; plan; skip; delivery; attempt; message; submission;
receipt; inbound; channel; account; provider; adapter; webhook; callback; client; staff; accept; persist;
ring; claim; render; send; record; advance; call back; draft; review; publish; preview; grant; withdraw;
suppress; erase; requeue; expire; purge; probe
"""


def documents(root: Path) -> list[Path]:
    """Return the documents: every Markdown file of the project."""
    return [path for path in tree.files(root) if path.suffix == ".md"]


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).strip().lower())
    return kept.replace(" ", "-")


def dead_links(root: Path) -> list[str]:
    """Return "path: link" of each relative link that leads to no file, or to no heading of its file."""
    dead = []
    for path in documents(root):
        prose = FENCE.sub("", tree.text(root, path))
        for found in LINK.finditer(prose):
            link = found[1] or found[2]
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            file = (root / path).parent / target if target else root / path
            anchored = anchor and file.suffix == ".md" and file.is_file()
            if not file.exists() or (anchored and anchor not in map(_slug, HEADING.findall(file.read_text("utf-8")))):
                dead.append(f"{path}: {link}")
    return dead


def shown(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield (document, command line) of everything that a reader is shown to type."""
    for path in documents(root):
        text = tree.text(root, path)
        for language, block in FENCE.findall(text):
            if language in SHELL:
                lines = block.replace("\\\n", " ").splitlines()
                yield from ((path, part.strip()) for line in lines for part in re.split(r"&&|\||;", line.lstrip("$ ")))
        yield from ((path, code.strip()) for code in CODE.findall(FENCE.sub("", text)))


def targets(root: Path) -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z]+):", tree.text(root, Path("Makefile")), re.MULTILINE))


def dead_targets(root: Path) -> list[str]:
    """Return "path: command" of each `make` that is shown with a target that the Makefile lacks."""
    known = targets(root)
    return [
        f"{path}: {line}"
        for path, line in shown(root)
        if re.match(r"make\b", line)
        for word in line.split("#")[0].split()[1:2]
        if "=" not in word and not word.startswith("-") and word not in known
    ]


@cache
def _botengang() -> Typer:
    from gateway.cli import app  # noqa: PLC0415 - the other rules work without it

    return app


def complaint(line: str, app: Typer) -> str:
    """Return what is wrong with a shown `botengang` command line: an unknown command or option, or ""."""
    words = shlex.split(line, comments=True)[1:]
    command = get_command(app)
    for word in words:
        if word.startswith("-"):
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            if word.partition("=")[0] not in known | {"--help", "--install-completion", "--show-completion"}:
                return f"no option {word}"
        elif commands := getattr(command, "commands", None):
            if word not in commands:
                return f"no command {word}"
            command = commands[word]
    return ""


def test_every_relative_link_leads_somewhere():
    """A reader never lands on a missing page, picture or heading."""
    assert dead_links(tree.ROOT) == []


def test_every_make_target_shown_exists():
    """What a document tells to type works."""
    assert dead_targets(tree.ROOT) == []


def test_every_botengang_command_shown_exists():
    """Commands and options in the documents are those of the program."""
    lines = [(path, line) for path, line in shown(tree.ROOT) if re.match(r"(\.venv/bin/)?botengang [a-z]", line)]
    assert {f"{path}: {line}": wrong for path, line in lines if (wrong := complaint(line, _botengang()))} == {}


def test_every_module_shown_exists():
    """`python -m something` in a document names a module of ours that is there."""
    lines = {
        found[1] for _, line in shown(tree.ROOT) if (found := re.search(r"python3? -m ((?:gateway|channels)\S*)", line))
    }
    assert {name for name in lines if find_spec(name) is None} == set()


def test_the_glossary_has_every_word():
    """Each word of the house is explained once."""
    glossary = tree.text(tree.ROOT, Path("docs/glossary.md"))
    assert [word for word in " ".join(WORDS.split()).split("; ") if f"**{word}**" not in glossary] == []


def test_the_version_is_the_same_everywhere():
    """pyproject.toml and publiccode.yml name one version and one licence."""
    project = tomllib.loads(tree.text(tree.ROOT, Path("pyproject.toml")))["project"]
    public = yaml.safe_load(tree.text(tree.ROOT, Path("publiccode.yml")))
    assert public["softwareVersion"] == project["version"]
    assert public["legal"]["license"] == project["license"] == "EUPL-1.2"
    assert "EUROPEAN UNION PUBLIC LICENCE v. 1.2" in tree.text(tree.ROOT, Path("LICENSE"))


def test_publiccode_keeps_to_the_standard():
    """The catalogue's own limits (publiccode.yml 0.4): mandatory keys, and lengths of the descriptions."""
    public = yaml.safe_load(tree.text(tree.ROOT, Path("publiccode.yml")))
    mandatory = (
        "publiccodeYmlVersion name url releaseDate platforms categories developmentStatus softwareType description"
    )
    assert set(mandatory.split()) <= set(public)
    assert public["maintenance"]["contacts"]
    for words in public["description"].values():
        assert len(words["shortDescription"]) <= 150
        assert 150 <= len(words["longDescription"]) <= 10_000


@pytest.mark.parametrize("link", ["docs/gone.md", "docs/a.md#no-such-heading", "#gone"])
def test_a_dead_link_is_named(tmp_path: Path, link: str):
    """Missing files and missing headings are seen; what is there and what is on the web is not."""
    good = "[a](docs/a.md#ein-wort--zwei) [b](https://example.org/x) [c](#top)"
    root = tree.plant(tmp_path, {"README.md": f"# Top\n{good} [d]({link})\n", "docs/a.md": "## Ein Wort & zwei\n"})
    assert dead_links(root) == [f"README.md: {link}"]


def test_a_dead_target_is_named(tmp_path: Path):
    """In a block to type and in running text."""
    text = "Say `make fly`.\n\n```sh\ncd x && make demo\nmake land ARGS=1\n```\n"
    root = tree.plant(tmp_path, {"README.md": text, "Makefile": "demo: ## x\n"})
    assert sorted(dead_targets(root)) == ["README.md: make fly", "README.md: make land ARGS=1"]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("botengang demo --once", ""),
        ("botengang demo --twice", "no option --twice"),
        ("botengang keys create --client NAME", ""),
        ("botengang keys mend", "no command mend"),
        ("botengang fly", "no command fly"),
    ],
)
def test_a_dead_command_is_named(line: str, wrong: str):
    """Commands, commands inside commands, and options are all looked up."""
    app, keys = Typer(), Typer()
    app.add_typer(keys, name="keys")
    app.command("demo")(lambda once=False: once)
    keys.command("create")(lambda client="": client)
    keys.command("list")(lambda: None)
    assert complaint(line, app) == wrong
