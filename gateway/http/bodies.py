"""Read a body within its limit, and turn its bytes into validated models or faults that never quote the input.

Whose request it is has been settled before the first byte is read (gateway.http.guards).
Standards: JSON (RFC 8259), NDJSON, JSON pointer (RFC 6901).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from gateway.domain.errors import CallerError, Fault, Invalid

JSON = "application/json"
NDJSON = "application/x-ndjson"
MAX_ITEMS = 10_000
DEADLINE_S = 60.0
_TURN = 200  # items read before others get a turn

Model = TypeVar("Model", bound=BaseModel)


class FieldFault(ValueError):
    """Raised by a field's own check. ``code`` is a row of problems.FAULTS, ``detail`` a constant sentence."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep both; nothing of the input is in them."""
        self.code, self.detail = code, detail
        super().__init__(code)


_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")  # a field name that cannot be an address or a number
_MALFORMED = "The body is not one well-formed JSON value in UTF-8."


async def read(request: Request, limit: int, *, deadline_s: float = DEADLINE_S) -> bytes:
    """Return the body. ``limit``: bytes, counted as they come, whatever Content-Length says.

    Raises CallerError ``body_too_large``, ``body_too_slow`` or ``unsupported_media_type`` (compressed bodies).
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise CallerError("Send the body without Content-Encoding.", code="unsupported_media_type")
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline_s):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        detail = f"The body was not complete after {deadline_s:g} seconds; send it again."
        raise CallerError(detail, code="body_too_slow") from None
    except ClientDisconnect:
        raise CallerError("The connection ended before the body did.", code="malformed_json") from None
    return b"".join(parts)


def _too_large(limit: int) -> CallerError:
    return CallerError(f"This route takes bodies of up to {limit} bytes. Send less.", code="body_too_large")


def media_type(request: Request, allowed: Sequence[str]) -> str:
    """Return the request's media type. Raises CallerError ``unsupported_media_type`` if it is none of ``allowed``."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in allowed:
        names = " or ".join(f"`{one}`" for one in allowed)
        raise CallerError(f"Send the header `Content-Type: {names}`.".replace("``", "`"), code="unsupported_media_type")
    return found


async def read_json(request: Request, model: type[Model], limit: int) -> Model:
    """Return the validated body of a JSON route. Raises Invalid or another CallerError."""
    media_type(request, (JSON,))
    return parse(model, await read(request, limit))


def parse(model: type[Model], raw: bytes) -> Model:
    """Return ``raw`` as a model. Raises Invalid with one fault per field, or with code ``malformed_json``."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        # ``from None``: the cause quotes the input, and exceptions end up in logs
        raise _invalid(error.errors(include_url=False, include_input=False)) from None


def _invalid(errors: Sequence[Mapping[str, Any]]) -> Invalid:
    if any(one["type"] == "json_invalid" for one in errors):
        return Invalid(_MALFORMED, code="malformed_json")
    faults = [Fault(pointer_of(one["loc"]), *explain(one)) for one in errors]
    return Invalid("Some fields are not valid; `errors` names each of them.", faults=faults)


def split(raw: bytes, media: str) -> list[bytes]:
    """Return the items of a batch, each as its own JSON text, unread. Raises Invalid."""
    if media == NDJSON:
        items = [line for line in raw.split(b"\n") if line.strip()]
    else:
        try:
            items = [bytes(item) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])]
        except msgspec.ValidationError:
            faults = [Fault("", "wrong_type", "The body must be an array.")]
            raise Invalid("Send a JSON array, or NDJSON with its own media type.", faults=faults) from None
        except (msgspec.DecodeError, RecursionError):
            raise Invalid(_MALFORMED, code="malformed_json") from None
    if not 1 <= len(items) <= MAX_ITEMS:
        raise Invalid(f"The batch has {len(items)} items; send 1 to {MAX_ITEMS}.", code="batch_size")
    return items


async def parse_each(model: type[Model], items: Sequence[bytes]) -> list[Model | CallerError]:
    """Return each item as a model, or what is wrong with it; the event loop gets its turn in between."""
    parsed: list[Model | CallerError] = []
    for number, raw in enumerate(items):
        if number % _TURN == 0:
            await asyncio.sleep(0)
        try:
            parsed.append(parse(model, raw))
        except Invalid as error:
            parsed.append(error)
    return parsed


def canonical(members: Mapping[str, Any]) -> bytes:
    """Return JSON with sorted keys and no white space: equal requests become equal bytes."""
    return msgspec.json.encode(members, order="sorted")


def pointer_of(place: Sequence[str | int]) -> str:
    """Return the JSON pointer to a field. It ends above a name that the caller invented and that may tell something."""
    steps: list[str] = []
    for step in place:
        if isinstance(step, str) and not _PLAIN_NAME.fullmatch(step):
            break
        steps.append(str(step))
    return "".join(f"/{step}" for step in steps)


_CODES = {
    "missing": ("missing", "This field is required."),
    "extra_forbidden": ("unknown_field", "There is no such field. Leave it out."),
    "string_type": ("wrong_type", "This must be a text."),
    "int_type": ("wrong_type", "This must be a whole number."),
    "int_parsing": ("wrong_type", "This must be a whole number."),
    "int_from_float": ("wrong_type", "This must be a whole number."),
    "bool_type": ("wrong_type", "This must be true or false."),
    "dict_type": ("wrong_type", "This must be an object."),
    "model_type": ("wrong_type", "This must be an object."),
    "model_attributes_type": ("wrong_type", "This must be an object."),
    "list_type": ("wrong_type", "This must be an array."),
    "tuple_type": ("wrong_type", "This must be an array."),
    "string_too_long": ("too_long", "At most {max_length} characters."),
    "string_too_short": ("too_short", "At least {min_length} characters."),
    "too_long": ("too_long", "At most {max_length} items."),
    "too_short": ("too_short", "At least {min_length} items."),
    "string_pattern_mismatch": ("wrong_format", "The text must match {pattern}"),
    "greater_than_equal": ("out_of_range", "At least {ge}."),
    "less_than_equal": ("out_of_range", "At most {le}."),
    "enum": ("not_one_of", "One of {expected}."),
    "literal_error": ("not_one_of", "One of {expected}."),
}


def explain(error: Mapping[str, Any]) -> tuple[str, str]:
    """Return our code and sentence for one of pydantic's errors; nothing of the input is in them.

    What a field's own check found is taken as it is (FieldFault).
    """
    kind = error["type"]
    if kind in _CODES:
        code, sentence = _CODES[kind]
        return code, sentence.format(**error.get("ctx", {}))
    found = error.get("ctx", {}).get("error")
    if isinstance(found, FieldFault):
        return found.code, found.detail
    return "not_valid", "The value is not valid."
