"""What test keys play instead of the provider call: one magic recipient for each outcome.

Everything before and after the call is the real walk. Documented for callers in docs/testing-with-test-keys.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from channels.kit.contract import Submission
from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    OptedOut,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    WindowClosed,
)
from gateway.domain.errors import Fault, Invalid
from gateway.usecases.shapes import PostedConsent, PostedContactPoint, PostedRecipient

PREFIX = "test-"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)  # when they were verified and consented: always the same, so stored once
# outcome of the first call -> the error it raises; "delivered" and "submitted" raise none
OUTCOMES: dict[str, ChannelError | None] = {
    "delivered": None,
    "submitted": None,
    "address-refused": AddressRefused("simulated"),
    "opted-out": OptedOut("simulated"),
    "content-refused": ContentRefused("simulated"),
    "refused": Refused("simulated"),
    "window-closed": WindowClosed("simulated"),
    "throttled": Throttled("simulated", retry_after_s=1.0),
    "unavailable": Unavailable("simulated", retry_after_s=1.0),
    "uncertain": Uncertain("simulated"),
    "no-consent": None,
    "unverified": None,
    "no-channel": None,
}


def outcome_of(recipient: str) -> str:
    """Return the outcome that a magic recipient asks for, such as "delivered" for "test-delivered". Raises Invalid."""
    outcome = recipient.removeprefix(PREFIX)
    if outcome not in OUTCOMES:
        known = ", ".join(PREFIX + name for name in OUTCOMES)
        fault = Fault("/recipient/id", "magic_recipient_unknown", f"test keys reach only these: {known}")
        raise Invalid("There is no such magic recipient.", faults=[fault])
    return outcome


def person(recipient: str, channels: Sequence[str], purposes: Sequence[str]) -> PostedRecipient:
    """Return the magic recipient as it is stored: reachable on every channel, unless its name says otherwise."""
    outcome = outcome_of(recipient)
    verified = outcome != "unverified"
    points = tuple(
        PostedContactPoint(
            channel=channel,
            address=f"{recipient}@{channel}.invalid",
            verified_at=SINCE if verified else None,
            verified_how="simulated" if verified else None,
        )
        for channel in channels
    )
    consents = tuple(
        PostedConsent(
            channel=channel,
            purpose=purpose,
            text_version="simulated",
            text_hash="simulated",
            language="de",
            source="test key",
            actor="simulation",
            given_at=SINCE,
        )
        for channel in channels
        for purpose in purposes
    )
    return PostedRecipient(
        id=recipient,
        contact_points=() if outcome == "no-channel" else points,
        consents=() if outcome in {"no-consent", "no-channel"} else consents,
    )


def play(outcome: str, key: str) -> Submission:
    """Return the submission, or raise the ChannelError, that the magic recipient asks for."""
    error = OUTCOMES[outcome]
    if error is not None:
        raise type(error)(error.provider_code, retry_after_s=error.retry_after_s)
    return Submission(provider_id=f"simulated-{key}")
