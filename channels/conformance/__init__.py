"""The conformance suite: what every channel adapter must do, as tests to inherit.

Not needed to run the gateway; needs pytest, pytest-asyncio and hypothesis. Subclass :class:`AdapterConformance` in a
test file, name the adapter, its addresses and a stand-in for its provider; docs/adding-a-channel.md shows how.
"""

from __future__ import annotations

from channels.conformance.account import AccountCases
from channels.conformance.acts import Act, Standin
from channels.conformance.bench import Bench, StillClock
from channels.conformance.http_standin import Call, HttpStandin, Reply
from channels.conformance.sending import SendingCases
from channels.conformance.webhooks import Tape, WebhookCases

__all__ = ["Act", "AdapterConformance", "Bench", "Call", "HttpStandin", "Reply", "Standin", "StillClock", "Tape"]


class AdapterConformance(SendingCases, WebhookCases, AccountCases, Bench):
    """All cases for one adapter. The numbers in the tests' names are those of the contract's list of 18 groups."""
