"""Stand at the door: the key becomes a Caller with a scope and a rate, and every answer leaves in the same envelope.

Limits on bodies are gateway.http.bodies'; what a key is, and what may be done with it, is gateway.usecases.access'.
Standards: RFC 6750 (Bearer), RFC 9110 (Retry-After), Content Security Policy 3.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import telemetry
from gateway.domain.errors import Forbidden
from gateway.http import problems
from gateway.usecases import access
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Caller

# Paths that anybody may ask for; every other route has `caller` in it (tests/http/test_guards.py walks the routes).
PUBLIC: Final = frozenset(
    {
        "/",
        "/docs",
        "/docs/reference.css",
        "/livez",
        "/metrics",  # has a guard of its own: this machine, or a token
        "/openapi.json",
        "/problems",
        "/problems/{code}",
        "/readyz",
        "/recipient.css",
        "/stop/{token}",  # the token is signed; GET shows, POST acts
        "/webhooks/{account}",  # the adapter verifies the provider's signature
    }
)
NO_CONTENT_LOADED: Final = "default-src 'none'; frame-ancestors 'none'"

_bearer = HTTPBearer(
    scheme_name="key",
    description="A key made with `botengang keys create`. Each operation names the scope that the key needs.",
    auto_error=False,
)


def runtime(request: Request) -> Runtime:
    """Return the open Runtime of this program."""
    rt: Runtime = request.app.state.rt
    return rt


Rt = Annotated[Runtime, Depends(runtime)]


async def caller(
    rt: Rt, scopes: SecurityScopes, shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """Return who asks; used as ``Security(caller, scopes=[…])``. Runs before any of the body is read.

    Raises Forbidden (``unauthenticated`` or ``missing_scope``) or TooMany.
    """
    if shown is None:
        raise Forbidden("Send the header `Authorization: Bearer <key>`.", code="unauthenticated")
    who = await access.authenticate(rt, shown.credentials)
    for scope in scopes.scopes:
        access.require(who, scope)
    await access.admit(rt, who)
    return who


class Envelope:
    """ASGI middleware: a request id and safe headers on every answer, and a problem where the program broke.

    The log gets the id and the class of the exception, never its text or traceback: those quote what was sent.
    """

    def __init__(self, app: ASGIApp, *, rt: Runtime) -> None:
        """Wrap ``app``."""
        self._app = app
        self._rt = rt
        self._https = rt.policy.public_url.startswith("https://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._rt.ids.new()
        started = False

        async def sealed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._seal(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            await self._app(scope, receive, sealed)
        except Exception as broken:  # noqa: BLE001 - the last line: whatever it is, no trace of it leaves the house
            telemetry.log().error("request.failed", request=request_id, error=type(broken).__name__)
            if not started:
                members = problems.document(problems.KINDS["internal"], instance=f"urn:uuid:{request_id}")
                await problems.answer(members)(scope, receive, sealed)

    def _seal(self, headers: MutableHeaders, request_id: str) -> None:
        headers["X-Request-Id"] = request_id
        headers.setdefault("Cache-Control", "no-store")
        headers.setdefault("Content-Security-Policy", NO_CONTENT_LOADED)
        headers["Referrer-Policy"] = "no-referrer"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if self._https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
