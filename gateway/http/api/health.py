"""The two routes for whoever watches the process: is it alive, can it work."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gateway.http import problems
from gateway.http.api import answers, results
from gateway.http.guards import Rt
from gateway.http.openapi import answered
from gateway.usecases import upkeep

router = APIRouter(tags=["Health"])


@router.head("/livez", include_in_schema=False)
@router.get(
    "/livez",
    summary="Is the process alive?",
    responses=answered(200, answers.Alive, "It is."),
)
async def livez() -> Response:
    """Answers as long as the process can answer at all; asks nothing else. Restart the process if it does not."""
    return results.json({"ok": True})


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Can the process work?",
    responses=answered(200, answers.Ready, "It can.", "not_ready"),
)
async def readyz(rt: Rt) -> Response:
    """Asks the database and the queue. Send no requests here while it answers 503."""
    found = await upkeep.readiness(rt)
    if found["ok"]:
        return results.json(found)
    members = problems.document(problems.KINDS["not_ready"], checks=dict(found["checks"]))
    return problems.answer(members, {"Retry-After": "5"})
