"""Routes under ``/v1/dead-letters``: what no channel has taken, to be looked at, sent once more, or closed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from gateway.domain.deadletters import Wanted
from gateway.domain.errors import Fault, Invalid
from gateway.domain.reasons import codes_of, explain
from gateway.http import bodies
from gateway.http.api import answers, results
from gateway.http.api.fields import ChannelName, CodeName, Line, Moment, TemplateKey
from gateway.http.api.notifications import MAX_PAGE, Reader, Writer
from gateway.http.api.schemas import DeadLetterChoice, DeadLetterRequeue
from gateway.http.guards import Rt
from gateway.http.openapi import BODY, answered, body_of
from gateway.usecases import deadletters
from gateway.usecases.deadletters import Decided
from gateway.usecases.shapes import Caller

router = APIRouter(tags=["Notifications"])
MOST = 1000  # notifications that one request decides on


@router.get(
    "/v1/dead-letters",
    summary="List dead letters",
    responses=answered(200, answers.DeadLetters, "The newest first.", "invalid"),
)
async def list_dead_letters(
    rt: Rt,
    who: Reader,
    *,
    code: Annotated[CodeName | None, Query(description="Why it failed.")] = None,
    klass: Annotated[CodeName | None, Query(alias="class", description="The class of error it failed with.")] = None,
    account: Annotated[Line | None, Query(description="The account it was to go out on.")] = None,
    channel: Annotated[ChannelName | None, Query(description="The channel.")] = None,
    template: Annotated[TemplateKey | None, Query(description="The template's key.")] = None,
    since: Annotated[Moment | None, Query(description="Failed at this time or later.")] = None,
    until: Annotated[Moment | None, Query(description="Failed before this time.")] = None,
    after: Annotated[
        str | None, Query(max_length=100, pattern=r"^[!-~]+$", description="`next` of the page before this one.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items on a page.")] = 50,
) -> Response:
    """See each failed delivery of a notification that no channel has taken, what happened and what may be done."""
    chosen = _wanted(
        who, code=code, klass=klass, account=account, channel=channel, template=template, since=since, until=until
    )
    found, following = await deadletters.listing(rt, chosen, after=after, limit=limit)
    shown = [{name: value for name, value in one.items() if name != "client"} for one in found]
    return results.json({"dead_letters": shown, "next": following})


def _wanted(
    who: Caller,
    *,
    code: str | None = None,
    klass: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    ids: tuple[str, ...] | None = None,
    **fields: str | None,
) -> Wanted:
    """Return the filter, for the caller's own dead letters alone."""
    codes = None if klass is None else codes_of(klass)
    if code is not None:
        codes = frozenset({code}) if codes is None else codes & {code}
    return Wanted(client=who.client_id, ids=ids, codes=codes, since=since, until=until, **fields)


@router.post(
    "/v1/dead-letters:requeue",
    summary="Send dead letters once more",
    responses=answered(200, answers.Decision, "What was done, and what was refused.", *BODY),
    openapi_extra=body_of(DeadLetterRequeue),
)
async def requeue_dead_letters(request: Request, rt: Rt, who: Writer) -> Response:
    """Put failed deliveries back into the queue: those with these ids, or all that the filter fits.

    Consent, suppression and expiry are read again before anything goes out. What has expired is refused, and so is
    what may have arrived already, unless the template allows a second message or you accept it expressly. At most 1,000
    notifications in one request; repeat it while `more` is true.
    """
    body = await bodies.read_json(request, DeadLetterRequeue, rt.policy.max_body_bytes)
    done = await deadletters.requeue(
        rt, _chosen(who, body), actor=f"client:{who.name}", twice=body.even_if_it_may_be_twice, dry_run=body.dry_run,
        most=MOST,
    )  # fmt: skip
    return results.json(_decision(done, dry_run=body.dry_run))


@router.post(
    "/v1/dead-letters:cancel",
    summary="Close dead letters",
    responses=answered(200, answers.Decision, "What was done, and what was refused.", *BODY),
    openapi_extra=body_of(DeadLetterChoice),
)
async def cancel_dead_letters(request: Request, rt: Rt, who: Writer) -> Response:
    """Close the notifications of these dead letters: they stay failed, and are never sent or listed here again."""
    body = await bodies.read_json(request, DeadLetterChoice, rt.policy.max_body_bytes)
    done = await deadletters.close(rt, _chosen(who, body), actor=f"client:{who.name}", dry_run=body.dry_run, most=MOST)
    return results.json(_decision(done, dry_run=body.dry_run))


def _chosen(who: Caller, body: DeadLetterChoice) -> Wanted:
    if (body.ids is None) == (body.filter is None):
        faults = [Fault("", "missing", "give `ids` or `filter`, one of both; an empty filter means all of yours")]
        raise Invalid("Say which dead letters.", faults=faults)
    if body.filter is None:
        return _wanted(who, ids=body.ids)
    return _wanted(who, **body.filter.model_dump())


def _decision(done: Decided, *, dry_run: bool) -> dict[str, Any]:
    refused = [{"code": code, "explanation": explain(code), "ids": ids} for code, ids in sorted(done.refused.items())]
    return {
        "dry_run": dry_run,
        "deliveries": done.deliveries,
        "notifications": done.notifications,
        "refused": refused,
        "more": done.more,
    }
