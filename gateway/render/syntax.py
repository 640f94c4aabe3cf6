"""Compile one source text: Jinja2 with an allow-listed syntax, where every placeholder becomes an opaque hole.

Values are never rendered as templates and never reach the Markdown parser: a program's ``run`` returns the source
with one private-use character per placeholder, and the looks fill those holes afterwards, each with its own escaping.
Syntax: docs/templates.md. The environment is Jinja2's sandbox with neither globals, filters, tests nor loaders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.domain.content import Problem, TemplateInvalid, Variable

FIRST_HOLE = 0xE000  # private use; a template or value that holds such a character is refused
MAX_HOLES = 200
MAX_SOURCE = 10_000  # characters
MAX_DEPTH = 20  # nodes below one another

# Filter -> (type it applies to, forms it takes); the first form is the default.
FILTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "date": ("date", ("short", "long")),
    "time": ("time", ("short",)),
    "number": ("integer", ("grouped",)),
}
_ORDERED = frozenset({"lt", "lteq", "gt", "gteq"})
_COMPARISONS = _ORDERED | {"eq", "ne"}
_COMPARABLE = frozenset({"text", "code", "weekday", "month"})


@dataclass(frozen=True, slots=True)
class Hole:
    """One placeholder: which variable, its type, and the form a filter asked for ("" for the default)."""

    name: str
    type: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled source. ``holes[i]`` stands where ``chr(FIRST_HOLE + i)`` is in the text that ``run`` returns."""

    holes: tuple[Hole, ...]
    _fixed: str
    _template: Template | None
    _types: tuple[tuple[str, str], ...]

    @property
    def branches(self) -> bool:
        """Tell whether the text depends on values beyond its holes."""
        return self._template is not None

    def run(self, values: Mapping[str, str]) -> str:
        """Return the text with holes. ``values``: canonical, all of them. Raises KeyError for a missing one."""
        if self._template is None:
            return self._fixed
        typed = {name: int(values[name]) if type_ == "integer" else values[name] for name, type_ in self._types}
        return self._template.render(typed)


class _Refused(Exception):
    def __init__(self, line: int, code: str, detail: str) -> None:
        self.line, self.code, self.detail = line, code, detail
        super().__init__(detail)


def check(source: str, variables: Mapping[str, Variable], *, pointer: str = "") -> list[Problem]:
    """Return what is wrong with ``source``, one problem a mistake, each with its line; [] compiles."""
    _, problems = _read(source, variables)
    return [Problem(pointer, one.code, f"line {one.line}: {one.detail}") for one in problems]


def names(source: str) -> frozenset[str]:
    """Return the names that a source uses. Raises TemplateInvalid if it cannot be parsed at all."""
    try:
        return frozenset(one.name for one in _ENVIRONMENT.parse(source).find_all(nodes.Name))
    except (TemplateSyntaxError, RecursionError) as exc:
        raise TemplateInvalid([Problem("", "syntax", str(exc))]) from exc


@lru_cache(maxsize=4096)
def compile_source(source: str, variables: tuple[Variable, ...]) -> Program:
    """Return the program of a source; the same arguments give the same object. Raises TemplateInvalid."""
    known = {one.name: one for one in variables}
    compiler, problems = _read(source, known)
    if problems or compiler is None:
        raise TemplateInvalid([Problem("", one.code, f"line {one.line}: {one.detail}") for one in problems])
    used = tuple((name, known[name].type) for name in sorted(compiler.compared))
    if compiler.plain:
        return Program(tuple(compiler.holes), _ENVIRONMENT.from_string(compiler.tree).render(), None, ())
    return Program(tuple(compiler.holes), "", _ENVIRONMENT.from_string(compiler.tree), used)


def _environment() -> ImmutableSandboxedEnvironment:
    # Not autoescaped: values never pass through it, and each look escapes the author's words itself.
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, cache_size=0
    )
    made.globals.clear()
    made.filters.clear()
    made.tests.clear()
    return made


_ENVIRONMENT = _environment()


def _read(source: str, variables: Mapping[str, Variable]) -> tuple[_Compiler | None, list[_Refused]]:
    """Parse and walk the source, collecting every refusal."""
    if len(source) > MAX_SOURCE:
        return None, [_Refused(1, "too_long", f"at most {MAX_SOURCE} characters")]
    for number, text in enumerate(source.split("\n"), 1):
        if any("\ue000" <= one <= "\uf8ff" for one in text):
            return None, [_Refused(number, "control_character", "remove private-use characters")]
    try:
        for line, kind, _ in _ENVIRONMENT.lex(source):
            if kind in {"raw_begin", "comment_begin"}:
                return None, [_Refused(line, "not_allowed", "raw blocks and comments are not allowed; remove them")]
        tree = _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as exc:
        return None, [_Refused(exc.lineno, "syntax", f"{exc.message}; write placeholders as {{{{ name }}}}")]
    except RecursionError:
        return None, [_Refused(1, "not_allowed", "too deeply nested")]
    compiler = _Compiler(tree, variables)
    compiler.walk()
    return compiler, compiler.refusals


class _Compiler:
    """Walks a syntax tree, refuses what is not on the list, and turns every output expression into a hole."""

    def __init__(self, tree: nodes.Template, variables: Mapping[str, Variable]) -> None:
        self.tree, self._variables = tree, variables
        self.holes: list[Hole] = []
        self.refusals: list[_Refused] = []
        self.compared: set[str] = set()
        self.plain = True

    def walk(self) -> None:
        """Check the whole tree and rewrite it in place."""
        self._body(self.tree.body, 0)

    def _body(self, body: Iterable[nodes.Node], depth: int) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                node.nodes = [self._output(one) for one in node.nodes]
            elif isinstance(node, nodes.If):
                self._if(node, depth + 1)
            else:
                self._refuse(node, "not_allowed", f"{_word(node)} is not allowed; use {{{{ name }}}} and if")

    def _refuse(self, node: nodes.Node, code: str, detail: str) -> None:
        self.refusals.append(_Refused(node.lineno, code, detail))

    def _if(self, node: nodes.If, depth: int) -> None:
        self.plain = False
        if depth > MAX_DEPTH:
            self._refuse(node, "not_allowed", f"at most {MAX_DEPTH} ifs within one another")
            return
        try:
            self._test(node.test, 0)
        except _Refused as refused:
            self.refusals.append(refused)
        for body in (node.body, node.elif_, node.else_):
            self._body(body, depth)

    def _output(self, node: nodes.Expr) -> nodes.Expr:
        """Return the template text that stands for one output expression."""
        if isinstance(node, nodes.TemplateData):
            return node
        try:
            hole = self._hole(node)
        except _Refused as refused:
            self.refusals.append(refused)
            return node
        if hole not in self.holes:
            self.holes.append(hole)
        if len(self.holes) > MAX_HOLES:
            self._refuse(node, "too_long", f"at most {MAX_HOLES} different placeholders")
        return nodes.TemplateData(chr(FIRST_HOLE + self.holes.index(hole)), lineno=node.lineno)

    def _hole(self, node: nodes.Expr) -> Hole:
        if isinstance(node, nodes.Name):
            variable = self._variable(node)
            return Hole(variable.name, variable.type)
        if isinstance(node, nodes.Filter) and isinstance(node.node, nodes.Name):
            return self._filtered(node, self._variable(node.node))
        raise _Refused(node.lineno, "not_allowed", f"{_word(node)} is not allowed; write {{{{ name }}}}")

    def _filtered(self, node: nodes.Filter, variable: Variable) -> Hole:
        wanted, forms = FILTERS.get(node.name, ("", ()))
        if not forms:
            detail = f"there is no filter {node.name}; allowed are {', '.join(FILTERS)}"
            raise _Refused(node.lineno, "not_allowed", detail)
        if variable.type != wanted:
            detail = f"the filter {node.name} needs a variable of type {wanted}, {variable.name} is {variable.type}"
            raise _Refused(node.lineno, "type_mismatch", detail)
        given = [one.value if isinstance(one, nodes.Const) else None for one in node.args]
        if node.kwargs or node.dyn_args or node.dyn_kwargs or len(given) > 1 or (given and given[0] not in forms):
            detail = f"the filter {node.name} takes nothing or one of: {', '.join(forms)}"
            raise _Refused(node.lineno, "not_allowed", detail)
        return Hole(variable.name, variable.type, str(given[0]) if given else forms[0])

    def _variable(self, node: nodes.Name) -> Variable:
        if node.name not in self._variables:
            known = ", ".join(self._variables) or "none"
            raise _Refused(node.lineno, "unknown_variable", f"{node.name[:40]} is not declared; declared are: {known}")
        return self._variables[node.name]

    def _test(self, node: nodes.Node, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _Refused(node.lineno, "not_allowed", "this condition is too deeply nested")
        if isinstance(node, nodes.Name):
            self.compared.add(self._variable(node).name)
        elif isinstance(node, nodes.Not):
            self._test(node.node, depth + 1)
        elif isinstance(node, (nodes.And, nodes.Or)):
            self._test(node.left, depth + 1)
            self._test(node.right, depth + 1)
        elif isinstance(node, nodes.Compare):
            self._compare(node)
        else:
            raise _Refused(node.lineno, "not_allowed", f"{_word(node)} is not allowed in a condition")

    def _compare(self, node: nodes.Compare) -> None:
        sides = [node.expr, *(one.expr for one in node.ops)]
        operators = {one.op for one in node.ops}
        if not operators <= _COMPARISONS or not all(isinstance(one, (nodes.Name, nodes.Const)) for one in sides):
            raise _Refused(node.lineno, "not_allowed", "compare a variable with a text or number by == != < <= > >=")
        kinds = {self._kind(one) for one in sides}
        if len(kinds) > 1 or (operators & _ORDERED and kinds != {"number"}):
            detail = "compare integer with a number, text, code, weekday and month with a text; < and > need numbers"
            raise _Refused(node.lineno, "type_mismatch", detail)

    def _kind(self, node: nodes.Node) -> str:
        """Return what a side of a comparison is: "number" or "text"."""
        if isinstance(node, nodes.Name):
            variable = self._variable(node)
            self.compared.add(variable.name)
            if variable.type == "integer":
                return "number"
            if variable.type in _COMPARABLE:
                return "text"
            raise _Refused(node.lineno, "type_mismatch", f"{variable.name} ({variable.type}) cannot be compared")
        value = node.value if isinstance(node, nodes.Const) else None
        if isinstance(value, str):
            return "text"
        if isinstance(value, int) and not isinstance(value, bool):
            return "number"
        raise _Refused(node.lineno, "type_mismatch", "compare with a text in quotes or a whole number")


def _word(node: nodes.Node) -> str:
    """Return the name of a kind of node as an author knows it."""
    known = {
        "Getattr": "a dot",
        "Getitem": "a bracket",
        "Call": "a call",
        "For": "for",
        "Assign": "set",
        "Const": "a constant",
    }
    return known.get(type(node).__name__, type(node).__name__.lower())
