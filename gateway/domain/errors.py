"""What can be wrong with what a caller asked for: five classes, mapped once to RFC 9457 by gateway.http.problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one field. ``pointer``: JSON pointer (RFC 6901) into the body, "" for the whole."""

    pointer: str
    code: str
    detail: str


class CallerError(Exception):
    """Base of everything a caller can mend. ``code`` becomes the problem's type; ``detail`` says what to do."""

    default_code: ClassVar[str] = "caller_error"

    def __init__(self, detail: str, *, code: str = "", faults: Sequence[Fault] = ()) -> None:
        """Keep a sentence without any personal data, a stable code and the fields concerned."""
        self.detail = detail
        self.code = code or self.default_code
        self.faults = tuple(faults)
        super().__init__(detail)


class NotFound(CallerError):
    """There is no such thing, or it is not yours."""

    default_code = "not_found"


class Invalid(CallerError):
    """The request is well-formed and wrong."""

    default_code = "invalid"


class Conflict(CallerError):
    """It contradicts what is already there."""

    default_code = "conflict"


class Forbidden(CallerError):
    """The key is known and may not do this."""

    default_code = "forbidden"


class TooMany(CallerError):
    """Slow down. ``retry_after_s``: seconds until it is worth trying again."""

    default_code = "too_many_requests"

    def __init__(self, detail: str, *, retry_after_s: float, code: str = "") -> None:
        """Keep the waiting time beside the sentence."""
        self.retry_after_s = retry_after_s
        super().__init__(detail, code=code)


class Busy(CallerError):
    """We cannot take it now (the store is away); nothing was stored. Try again after ``retry_after_s`` seconds."""

    default_code = "busy"

    def __init__(self, detail: str, *, retry_after_s: float = 5.0) -> None:
        """Keep the waiting time beside the sentence."""
        self.retry_after_s = retry_after_s
        super().__init__(detail)
