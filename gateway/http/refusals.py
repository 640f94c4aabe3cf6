"""Turn every exception that reaches HTTP into a problem. What the problems are is gateway.http.problems'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from channels.kit.errors import Forged
from gateway.domain.errors import Busy, CallerError
from gateway.http import problems
from gateway.http.bodies import explain
from gateway.http.problems import KINDS, document
from gateway.store.engine import StoreAway

_BY_STATUS = {
    404: "unknown_route",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    503: "busy",
}


async def _caller_error(_request: Request, error: CallerError) -> Response:
    return problems.refuse(error)


async def _store_away(_request: Request, _error: StoreAway) -> Response:
    return problems.refuse(Busy("The store cannot be reached now. Send the same request again after the waiting time."))


async def _forged(_request: Request, _error: Forged) -> Response:
    return problems.answer(document(KINDS["forged"]))


async def _http_exception(_request: Request, error: HTTPException) -> Response:
    code = _BY_STATUS.get(error.status_code, "internal" if error.status_code >= KINDS["internal"].status else "invalid")
    members = document(KINDS[code]) | {"status": error.status_code}
    return problems.answer(members, error.headers)


async def _parameters_invalid(_request: Request, error: RequestValidationError) -> Response:
    faults = [_parameter_fault(one) for one in error.errors()]
    detail = "Path, query or header fields are not valid; `errors` names each of them."
    return problems.answer(document(KINDS["invalid"], detail=detail, faults=faults))


def _parameter_fault(one: Mapping[str, Any]) -> dict[str, str]:
    """Name a path, query or header field by ``parameter``: a JSON pointer is for bodies only."""
    place: Sequence[Any] = one["loc"]
    code, detail = explain(one)
    return {"parameter": str(place[1]) if len(place) > 1 else "", "code": code, "detail": detail}


def install(app: FastAPI) -> None:
    """Make ``app`` answer every exception that a caller can cause with a problem; the rest is guards.Envelope's."""
    app.add_exception_handler(CallerError, _caller_error)  # type: ignore[arg-type]  # Starlette types handlers by base
    app.add_exception_handler(StoreAway, _store_away)  # type: ignore[arg-type]  # the same
    app.add_exception_handler(Forged, _forged)  # type: ignore[arg-type]  # the same
    app.add_exception_handler(HTTPException, _http_exception)  # type: ignore[arg-type]  # the same
    app.add_exception_handler(RequestValidationError, _parameters_invalid)  # type: ignore[arg-type]  # the same
