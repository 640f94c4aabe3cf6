"""The page behind the sign-off link of every mail, and the one-click address of its header (RFC 8058).

A link scanner's GET changes nothing (B-E2, A-07); a POST stops at once, without a question.
"""

from __future__ import annotations

from pathlib import Path

import jinja2
from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.http.guards import Rt
from gateway.usecases import inbound
from gateway.usecases.stopping import delivery_of

router = APIRouter()

_HERE = Path(__file__).parent / "views"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Robots-Tag": "noindex",
}
_views = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)
# German first; the other languages come with the recipient pages.
PHRASES = {
    "de": {
        "title": "Nachrichten abbestellen",
        "ask": "Möchten Sie auf diesem Weg keine Nachrichten mehr bekommen?",
        "button": "Ja, abmelden",
        "fine": "Ihre Leistung hängt nicht davon ab. Möchten Sie später wieder Nachrichten? Sprechen Sie uns bitte an.",
        "done_title": "Sie sind abgemeldet",
        "done": "Auf diesem Weg bekommen Sie keine Nachrichten mehr von uns. Sie müssen nichts weiter tun.",
        "gone_title": "Dieser Link gilt nicht mehr",
        "gone": "Bitte sprechen Sie uns an, wenn Sie keine Nachrichten mehr bekommen möchten.",
        "personal": "Lieber persönlich?",
        "imprint": "Impressum",
        "privacy": "Datenschutz",
        "accessibility": "Barrierefreiheit",
    },
    "en": {
        "title": "Stop messages",
        "ask": "Do you want to get no more messages this way?",
        "button": "Yes, stop them",
        "fine": "Your benefits do not depend on this. If you want messages again later, please talk to us.",
        "done_title": "You are signed off",
        "done": "You will get no more messages from us this way. There is nothing more to do.",
        "gone_title": "This link is no longer valid",
        "gone": "Please talk to us if you want to get no more messages.",
        "personal": "Rather talk to a person?",
        "imprint": "Imprint",
        "privacy": "Privacy",
        "accessibility": "Accessibility",
    },
}


@router.get("/stop/{token}")
async def ask(request: Request, rt: Rt, token: str) -> Response:
    """Show what a press of the button would do; changes nothing."""
    known = delivery_of(rt, token) is not None
    return _page(request, rt, "ask" if known else "gone", status=200 if known else 404)


@router.post("/stop/{token}")
async def stop(request: Request, rt: Rt, token: str) -> Response:
    """Stop the channel for this person; pressing again gives the same answer."""
    delivery = delivery_of(rt, token)
    done = delivery is not None and await inbound.stop_by_token(rt, delivery)
    return _page(request, rt, "done" if done else "gone", status=200 if done else 404)


@router.get("/recipient.css")
async def style() -> Response:
    """Give the look of these pages."""
    return Response(
        (_HERE / "recipient.css").read_bytes(), media_type="text/css", headers={"Cache-Control": "max-age=300"}
    )


def _page(request: Request, rt: Rt, step: str, *, status: int) -> Response:
    wanted = request.headers.get("accept-language", "").strip().lower()
    language = "en" if wanted.startswith("en") else "de"
    page = _views.get_template("stop.html").render(
        t=PHRASES[language], language=language, step=step, sender=rt.pages.sender_name, pages=rt.pages
    )
    return Response(page, status_code=status, media_type="text/html", headers=_HEADERS)
