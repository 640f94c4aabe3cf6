"""Routes of the consent ledger: who agreed to what, and who no longer does. Both only append (A-04, A-07)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Security
from starlette.responses import Response

from gateway.http import bodies
from gateway.http.api import answers, fields, results
from gateway.http.api.schemas import ConsentGiven, Withdrawal
from gateway.http.guards import Rt, caller
from gateway.http.openapi import BODY, answered, body_of
from gateway.usecases import recipients
from gateway.usecases.shapes import Caller

router = APIRouter(tags=["Consents"])

Registrar = Annotated[Caller, Security(caller, scopes=["consents:write"])]
Channel = Annotated[fields.ChannelName, Path(description="The channel that the consent is for.")]
Purpose = Annotated[fields.Purpose, Path(description="What the person may be written to about.")]


@router.put(
    "/v1/recipients/{id}/consents/{channel}/{purpose}",
    summary="Record a consent",
    responses=answered(200, answers.LedgerEntry, "The new row of the ledger.", *BODY, "not_found"),
    openapi_extra=body_of(ConsentGiven),
)
async def give(
    request: Request,
    rt: Rt,
    who: Registrar,
    *,
    id_: Annotated[fields.RecipientId, Path(alias="id")],
    channel: Channel,
    purpose: Purpose,
) -> Response:
    """Append to the ledger that this person agreed. Without such a row no message goes out on the channel."""
    body = await bodies.read_json(request, ConsentGiven, rt.policy.max_body_bytes)
    return results.json(await recipients.give_consent(rt, who, id_, body.shaped(channel, purpose)))


@router.delete(
    "/v1/recipients/{id}/consents/{channel}/{purpose}",
    summary="Record a withdrawal",
    responses=answered(200, answers.LedgerEntry, "The new row of the ledger.", *BODY, "not_found"),
    openapi_extra=body_of(Withdrawal, required=False),
)
async def withdraw(
    request: Request,
    rt: Rt,
    who: Registrar,
    *,
    id_: Annotated[fields.RecipientId, Path(alias="id")],
    channel: Channel,
    purpose: Purpose,
) -> Response:
    """Append to the ledger that this person no longer agrees. It holds from now on, for everything not yet sent.

    The body may be left out; it then counts as said now, by way of the API, recorded by this client.
    """
    body = await _withdrawal(request, rt.policy.max_body_bytes)
    row = await recipients.withdraw_consent(
        rt,
        who,
        id_,
        channel,
        purpose,
        source=body.source or "api",
        actor=body.actor or f"client:{who.name}"[:100],
        at=body.withdrawn_at or rt.clock.now(),
    )
    return results.json(row)


async def _withdrawal(request: Request, limit: int) -> Withdrawal:
    raw = await bodies.read(request, limit)
    if not raw:
        return Withdrawal()
    bodies.media_type(request, (bodies.JSON,))
    return bodies.parse(Withdrawal, raw)
