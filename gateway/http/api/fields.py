"""The field types of the API: what a channel name, a time or a text may look like, once for all bodies and queries.

Every text is free of control characters, so nothing that a database or a header cannot carry gets past here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from gateway.http.bodies import FieldFault

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # tab and line feed are text
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
MAX_VARIABLE_CHARACTERS = 2_000
_MAX_INTEGER = 2**53 - 1  # what every JSON reader keeps exactly (RFC 8259, 6)


def _moment(value: Any) -> datetime:
    """Return a moment in UTC from RFC 3339 text; a time without an offset means different hours to different people."""
    if not isinstance(value, str) or not (found := _RFC3339.fullmatch(value)):
        raise FieldFault("no_time", "Send a date and time after RFC 3339, such as 2027-03-16T10:30:00+01:00.")
    if not found[3]:
        raise FieldFault("no_offset", "Add the offset from UTC, such as Z or +01:00.")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise FieldFault("no_time", "There is no such date or time.") from None
    if not _FIRST_YEAR <= moment.year < _LAST_YEAR:
        raise FieldFault("out_of_range", "The year must lie between 2000 and 2099.")
    return moment


def _value(value: Any) -> str | int:
    """Check one variable's value: a text or a whole number, which the template's own schema then judges."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FieldFault("wrong_type", "A variable is a text or a whole number.")
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise FieldFault("out_of_range", "The number is too large.")
    if isinstance(value, str) and (len(value) > MAX_VARIABLE_CHARACTERS or _CONTROL.search(value)):
        raise FieldFault("wrong_format", "A text has at most 2000 characters and no control characters.")
    return value


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise FieldFault("repeated", "Name each value once.")
    return values


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2027-03-16T10:30:00+01:00"]}),
]
Value = Annotated[
    str | int,
    BeforeValidator(_value),
    WithJsonSchema({"type": ["string", "integer"], "maxLength": MAX_VARIABLE_CHARACTERS}),
]
Line = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
ChannelName = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z][a-z0-9_]*$"), Field(examples=["sms"])]
Purpose = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z][a-z0-9_]*$"), Field(examples=["dienst"])]
DeliveryId = Annotated[str, StringConstraints(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]
CodeName = Annotated[
    str, StringConstraints(max_length=100, pattern=r"^[a-z][a-z0-9_]*$"), Field(examples=["misconfigured"])
]
TemplateKey = Annotated[
    str, StringConstraints(max_length=100, pattern=r"^[a-z][a-z0-9_-]*$"), Field(examples=["termin_erinnerung"])
]
RecipientId = Annotated[
    str,
    StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:~-]*$"),
    Field(description="The authority's id of the person. Never an address: it stands in URLs.", examples=["P-10042"]),
]
Language = Annotated[
    str,
    StringConstraints(max_length=35, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$"),
    Field(description="BCP 47; `de-leicht` is Leichte Sprache.", examples=["de"]),
]
VariableName = Annotated[str, StringConstraints(max_length=40, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Channels = Annotated[tuple[ChannelName, ...], Field(max_length=10), AfterValidator(_each_once)]
