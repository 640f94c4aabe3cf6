"""The route of the feed: what happened to a client's notifications, in order, for services that poll."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Security
from starlette.responses import Response

from gateway.http.api import callback_answers as answers
from gateway.http.api import results
from gateway.http.guards import Rt, caller
from gateway.http.openapi import answered
from gateway.usecases import events
from gateway.usecases.shapes import Caller

router = APIRouter(tags=["Callbacks"])

Reader = Annotated[Caller, Security(caller, scopes=["notifications:read"])]
MAX_PAGE = 500
LAST = 2**53 - 1


@router.get(
    "/v1/events",
    summary="Read the feed of events",
    responses=answered(200, answers.Events, "Events in the order of `seq`.", "invalid", "cursor_unknown"),
)
async def feed(
    rt: Rt,
    who: Reader,
    *,
    after: Annotated[int, Query(ge=0, le=LAST, description="`next` of the page before; 0 for the oldest kept.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Events on a page.")] = 100,
) -> Response:
    """Read what happened, 30 days back. Keep `next` and give it as `after` the next time.

    `seq` counts from 1 without gaps, per client; an event that is stored late gets a later number, so nothing is ever
    missed. An empty page means that there is nothing new yet.
    """
    return results.json(await events.feed(rt, who, after=after, limit=limit))
