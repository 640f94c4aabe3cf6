"""Assemble the HTTP program: routes, guards, refusals, pages. Opening and closing the Runtime is the caller's."""

from __future__ import annotations

from fastapi import FastAPI

from gateway.http import metrics, openapi, refusals
from gateway.http.api import (
    callbacks,
    consents,
    deadletters,
    events,
    health,
    notifications,
    recipients,
    templates,
    webhooks,
)
from gateway.http.guards import Envelope
from gateway.http.recipient import stop
from gateway.http.reference import pages
from gateway.usecases.runtime import Runtime


def create_app(rt: Runtime) -> FastAPI:
    """Return the ASGI program over an open Runtime; it reads ``app.state.rt`` and keeps nothing else."""
    app = FastAPI(
        title="Botengang",
        version=openapi.API_VERSION,
        summary="Notification gateway for public services",
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.rt = rt
    app.add_middleware(Envelope, rt=rt)
    refusals.install(app)
    for room in (notifications, deadletters, recipients, consents, templates, callbacks, events):
        app.include_router(room.router, responses=openapi.GUARDED)
    for room in (webhooks, health):
        app.include_router(room.router)
    metrics.add(app, rt)
    app.include_router(pages.router, include_in_schema=False)
    app.include_router(stop.router, include_in_schema=False)
    app.openapi = lambda: openapi.build(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app
