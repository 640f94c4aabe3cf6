"""The table of problems: complete, the same in the documentation, and on the wire as RFC 9457 wants it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from gateway.domain import errors
from gateway.domain.errors import Busy, CallerError, Conflict, Fault, Forbidden, Invalid, NotFound, TooMany
from gateway.http import problems

ROOT = Path(__file__).parents[2]
ROOMS = ("domain", "usecases", "http")  # where errors of the API come from
RAISED = {"CallerError", "NotFound", "Invalid", "Conflict", "Forbidden", "TooMany", "Busy"}
FAULTY = {"Fault": 1, "Problem": 1, "_Unfit": 0, "FieldFault": 0}  # where the code stands among the arguments


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in (path for room in ROOMS for path in sorted((ROOT / "gateway" / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield node.func.id, node


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def test_every_code_that_is_raised_has_a_row():
    """No verb raises a problem code that the table, the pages and docs/errors.md do not know."""
    raised = {
        code
        for name, call in _calls()
        if name in RAISED
        for keyword in call.keywords
        if keyword.arg == "code" and (code := _constant(keyword.value))
    }
    assert raised >= {"idempotency_key_reused", "malformed_json"}
    assert raised - set(problems.KINDS) == set()


def test_every_code_of_a_field_has_a_row():
    """No fault is named by a code that problems.FAULTS does not explain."""
    named = {
        code
        for name, call in _calls()
        if name in FAULTY and len(call.args) > FAULTY[name] and (code := _constant(call.args[FAULTY[name]]))
    }
    assert named >= {"no_offset", "address_invalid"}
    assert named - set(problems.FAULTS) == set()


def test_each_class_has_a_row_of_its_own():
    """Each class of caller's error falls back to a row with the status that its name promises."""
    wanted = {NotFound: 404, Invalid: 422, Conflict: 409, Forbidden: 403, TooMany: 429, Busy: 503}
    classes = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CallerError)}
    assert classes - {CallerError} == set(wanted)
    assert {one: problems.KINDS[one.default_code].status for one in wanted} == wanted


def test_a_refusal_is_a_problem_document():
    """Type, title, status, detail and one entry per field arrive with the problem's own media type."""
    error = Invalid("Mend it.", faults=[Fault("/recipient/id", "missing", "This field is required.")])
    answer = problems.refuse(error)
    assert answer.media_type == "application/problem+json"
    assert answer.status_code == 422
    assert json.loads(answer.body) == {
        "type": "/problems/invalid",
        "title": "The request is not valid",
        "status": 422,
        "detail": "Mend it.",
        "errors": [{"pointer": "/recipient/id", "code": "missing", "detail": "This field is required."}],
    }


def test_waiting_times_are_whole_seconds_and_never_zero():
    """Retry-After is rounded up, so that a caller who obeys it is not refused again for being early."""
    waits = [problems.refuse(TooMany("Wait.", retry_after_s=s)).headers["Retry-After"] for s in (0.01, 1.2, 30.0)]
    assert waits == ["1", "2", "30"]
    assert problems.refuse(Busy("Wait.")).headers["Retry-After"] == "5"
    assert "Retry-After" not in problems.refuse(NotFound("Look elsewhere.")).headers


def test_who_is_unknown_is_told_how_to_introduce_themselves():
    """A 401 carries the challenge that RFC 9110 requires; a 403 does not pretend that another key would do."""
    unknown = problems.refuse(Forbidden("Send a key.", code="unauthenticated"))
    assert unknown.status_code == 401
    assert unknown.headers["WWW-Authenticate"].startswith("Bearer")
    assert "WWW-Authenticate" not in problems.refuse(Forbidden("No.")).headers


def test_an_unknown_code_falls_back_to_its_class():
    """A code without a row (a plug-in's, say) still answers with the status of its class."""
    assert problems.kind_of(Conflict("No.", code="brand_new")).status == 409


def test_the_documentation_is_current():
    """docs/errors.md is what `python -m gateway.http.problems` prints."""
    assert (ROOT / "docs" / "errors.md").read_text() == problems.as_markdown()
