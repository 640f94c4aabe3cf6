"""Say what was wrong and what to do: the one table of problems, and their form on the wire.

Which exception becomes which problem is gateway.http.refusals'. Pages and docs/errors.md are made from the table:
``python -m gateway.http.problems > docs/errors.md``. Standard: RFC 9457, pointers after RFC 6901.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from gateway.domain.errors import CallerError, Fault

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. ``meaning``: what was wrong; ``remedy``: what the caller does next."""

    code: str
    status: int
    title: str
    meaning: str
    remedy: str

    @property
    def type(self) -> str:
        """The stable ``type`` of the problem: a relative URL, and a page of this program."""
        return f"/problems/{self.code}"


_TABLE = (
    Kind(
        "malformed_json",
        400,
        "The body is not JSON",
        "The body could not be read as JSON in UTF-8.",
        "Send one JSON value in UTF-8 without a byte order mark; in NDJSON one value per line.",
    ),
    Kind(
        "idempotency_key_missing",
        400,
        "The Idempotency-Key is missing",
        "Every notification needs a key of yours, so that a repeated request is harmless.",
        "Send the header `Idempotency-Key` (in a batch: the field `idempotency_key`), for example a new UUID, "
        "and the same one again when you repeat the request.",
    ),
    Kind(
        "idempotency_key_invalid",
        400,
        "The Idempotency-Key is not valid",
        "The key is longer than 255 characters or has characters other than visible ASCII.",
        "Send 1 to 255 visible ASCII characters without spaces, for example a UUID.",
    ),
    Kind(
        "unauthenticated",
        401,
        "No valid key",
        "The request has no key, or the key is unknown or revoked.",
        "Send the header `Authorization: Bearer <key>`. A key is made with `botengang keys create`.",
    ),
    Kind(
        "forbidden",
        403,
        "Not allowed",
        "The key is valid and may not do this.",
        "Use a key of the client that owns the thing, or ask the operator.",
    ),
    Kind(
        "missing_scope",
        403,
        "The key lacks a scope",
        "The key is valid, but it was made without the scope that this route needs.",
        "Ask the operator for a key with the scope named in the detail.",
    ),
    Kind(
        "forged",
        403,
        "The signature is not right",
        "A webhook call came without the provider's signature or secret, or with a wrong one. Nothing was done.",
        "Check the account's secret and that `GATEWAY_PUBLIC_URL` is the address that the provider calls.",
    ),
    Kind(
        "not_found",
        404,
        "Not found",
        "There is no such thing, or it belongs to another client.",
        "Check the id. Of notifications, only those that this client has posted can be seen.",
    ),
    Kind(
        "unknown_route",
        404,
        "No such address",
        "Nothing is served under this path.",
        "Compare the path with `/openapi.json` or `/docs`; there is no slash at the end.",
    ),
    Kind(
        "method_not_allowed",
        405,
        "This method is not for this address",
        "The path exists and does not answer this method.",
        "Use one of the methods in the header `Allow`.",
    ),
    Kind(
        "body_too_slow",
        408,
        "The body came too slowly",
        "The body was not complete within the time we wait for one. Nothing was stored.",
        "Send the request again; make batches smaller on a slow line.",
    ),
    Kind(
        "conflict",
        409,
        "It contradicts what is there",
        "The request does not fit the present state. Nothing was changed.",
        "Read the thing again and decide anew.",
    ),
    Kind(
        "idempotency_key_reused",
        409,
        "The Idempotency-Key was used for another request",
        "The same key came before with another body. Nothing was stored.",
        "Repeat the first body unchanged, or use a new key for a new notification.",
    ),
    Kind(
        "four_eyes",
        409,
        "Author and approver are the same person",
        "Nobody approves what they wrote themselves.",
        "Have somebody else approve it.",
    ),
    Kind(
        "cursor_unknown",
        410,
        "The cursor lies outside the feed",
        "Events are kept for 30 days; this number is older than what is kept, or was never given.",
        "Begin again with `after=0`, and look up with `GET /v1/notifications` what you may have missed.",
    ),
    Kind(
        "body_too_large",
        413,
        "The body is too large",
        "The body has more bytes than this route takes.",
        "Send less, or divide the batch.",
    ),
    Kind(
        "unsupported_media_type",
        415,
        "This kind of body is not taken",
        "The header `Content-Type` or `Content-Encoding` names something that this route does not read.",
        "Send `application/json` (batches also `application/x-ndjson`), not compressed.",
    ),
    Kind(
        "invalid",
        422,
        "The request is not valid",
        "The JSON is well-formed, but some fields are not what they must be.",
        "Mend every field named in `errors`; `pointer` says where it is.",
    ),
    Kind(
        "class_not_allowed",
        422,
        "Too confidential to be sent",
        "Texts of this confidentiality class never leave the house over any channel.",
        "Provide the document in the portal's mailbox and post the template that points there.",
    ),
    Kind(
        "test_key_mismatch",
        422,
        "This key and this recipient do not go together",
        "Test keys reach only recipients whose id begins with `test-`; live keys reach all others.",
        "Use a live key for people, and a test key with a `test-` id for trying out.",
    ),
    Kind(
        "template_invalid",
        422,
        "The checks found problems in the text",
        "A draft of a template cannot be approved as it is.",
        "Mend what `errors` names in the draft, and ask for approval again.",
    ),
    Kind(
        "batch_size",
        422,
        "The batch is empty or too long",
        "A batch has 1 to 10,000 items.",
        "Divide the batch; every item keeps its own `idempotency_key`.",
    ),
    Kind(
        "too_many_requests",
        429,
        "Too many requests",
        "This client has used up its rate for the moment. Nothing was stored.",
        "Wait as many seconds as the header `Retry-After` says, then send the same request again.",
    ),
    Kind(
        "internal",
        500,
        "Our mistake",
        "Something went wrong on our side; it may or may not have been stored.",
        "Send the same request with the same Idempotency-Key again. If it stays, tell the operator the `instance`.",
    ),
    Kind(
        "busy",
        503,
        "Not available now",
        "The store cannot be reached. If the connection to it broke at the very end, the request may be stored.",
        "Wait as many seconds as the header `Retry-After` says, then send the same request with the same "
        "Idempotency-Key again.",
    ),
    Kind(
        "wedged",
        503,
        "Hangs",
        "The sweeper of this process has not begun a round for minutes.",
        "Restart the process; nothing is lost by that.",
    ),
    Kind(
        "not_ready",
        503,
        "Not ready",
        "One of the things this process needs is away; `checks` says which.",
        "Send requests to another process until `/readyz` answers 200 again.",
    ),
)
KINDS: Mapping[str, Kind] = {kind.code: kind for kind in _TABLE}

FAULTS: Mapping[str, str] = {
    "missing": "A required field is not there.",
    "unknown_field": "There is no such field; unknown fields are refused.",
    "wrong_type": "The value has another type than the field.",
    "wrong_format": "The text does not have the form that the field needs.",
    "too_long": "Too many characters or items.",
    "too_short": "Too few characters or items.",
    "out_of_range": "The number or time lies outside what is allowed.",
    "not_one_of": "The value is not one of the allowed ones.",
    "no_time": "The text is not a date and time after RFC 3339.",
    "class_not_allowed": "The version named is more confidential than the one that the messages were made for.",
    "variables_differ": "The version named has other variables than the one that the messages were made for.",
    "name_invalid": "The name is empty, too long, or has characters that cannot be printed.",
    "no_offset": "The time has no offset from UTC.",
    "repeated": "The same value stands more than once in the list.",
    "expired": "The notification would be out of date before it may go.",
    "too_far": "The time lies further ahead than is allowed.",
    "template_unknown": "No approved template has this key.",
    "unknown_variable": "The template has no such variable.",
    "missing_variable": "The template needs this variable.",
    "empty": "The value of a variable is empty.",
    "control_character": "The value has line breaks, tabs or invisible characters.",
    "no_such_date": "This day does not exist in the calendar.",
    "link_in_text": "A text value holds something that phones turn into a link.",
    "channel_unknown": "No account is configured for this channel, or no such channel exists.",
    "address_invalid": "The address does not have the form of its channel.",
    "purpose_unknown": "This gateway does not know the purpose.",
    "test_key": "Test keys and test recipients go together; live keys and people go together.",
    "magic_recipient_unknown": "There is no such recipient for trying out.",
    "scope_unknown": "There is no such scope.",
    "url_refused": "This URL cannot be called back: it must be https, well-formed, and lie on the public internet.",
    "not_valid": "The value is not valid for another reason, told in the detail.",
}


def document(
    kind: Kind, *, detail: str = "", faults: Iterable[Fault | Mapping[str, str]] = (), **more: Any
) -> dict[str, Any]:
    """Return the members of one problem. ``more``: extension members such as ``instance``; empty ones are left out."""
    members: dict[str, Any] = {"type": kind.type, "title": kind.title, "status": kind.status}
    members["detail"] = detail or f"{kind.meaning} {kind.remedy}"
    told = [
        {"pointer": one.pointer, "code": one.code, "detail": one.detail} if isinstance(one, Fault) else dict(one)
        for one in faults
    ]
    if told:
        members["errors"] = told
    members.update({name: value for name, value in more.items() if value})
    return members


def kind_of(error: CallerError) -> Kind:
    """Return the row of an error: by its own code, else by its class."""
    return KINDS.get(error.code) or KINDS.get(error.default_code) or KINDS["invalid"]


def told(error: CallerError) -> dict[str, Any]:
    """Return the problem of one caller's error, as it stands in an answer or in an item of a batch."""
    return document(kind_of(error), detail=error.detail, faults=error.faults)


def answer(members: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return the HTTP answer for a problem."""
    sent = dict(headers or {})
    if members["status"] == KINDS["unauthenticated"].status:
        sent.setdefault("WWW-Authenticate", 'Bearer realm="botengang"')
    return Response(msgspec.json.encode(members), members["status"], sent, MEDIA_TYPE)


def refuse(error: CallerError) -> Response:
    """Return the HTTP answer for a caller's error, with ``Retry-After`` where it says when (RFC 9110)."""
    wait_s = getattr(error, "retry_after_s", None)
    headers = {} if wait_s is None else {"Retry-After": str(max(1, math.ceil(wait_s)))}
    return answer(told(error), headers)


def as_markdown() -> str:
    """Return docs/errors.md."""
    lines = [
        "# Errors",
        "",
        "Made by `python -m gateway.http.problems`; do not edit. Every error is an `application/problem+json` document",
        "(RFC 9457): `type` is stable and names a page of the running gateway, `detail` says what was wrong here and",
        "what to do, `errors` names each field by a JSON pointer. No error quotes what was sent.",
        "",
        "| type | status | what was wrong | what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{kind.type}` | {kind.status} | {kind.meaning} | {kind.remedy} |" for kind in _TABLE]
    lines += ["", "## Codes of single fields (`errors[].code`)", "", "| code | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in FAULTS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_markdown(), end="")  # noqa: T201 - this is the way docs/errors.md is made
