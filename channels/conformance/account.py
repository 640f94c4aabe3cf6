"""Groups 14 to 16 and 18: the probe, install and remove, addresses, and the row in the feature matrix.

Optional abilities that an adapter does not have are skipped.
"""

from __future__ import annotations

import logging

import pytest

from channels.conformance.acts import Act
from channels.conformance.bench import CALLBACK, Bench
from channels.kit.contract import Confidentiality, Installs, Probes
from channels.kit.errors import AddressInvalid
from channels.kit.matrix import row, table

_NEVER_ADDRESSES = ("", " ", "@", "+", "x y", "\0", "a\r\nb", "+49\n15123456789", "\ud800", "1" * 400, "<script>")


class AccountCases(Bench):
    """What an operator and a planner ask of an adapter."""

    @pytest.mark.asyncio
    async def test_14_probe_sends_nothing(self) -> None:
        """14: a probe of a good account is ok and reaches nobody."""
        self._probing()
        async with self.playing(Act.ACCEPT) as (adapter, standin):
            assert (await adapter.probe()).ok
            assert (standin.sends, standin.texts) == (0, [])

    @pytest.mark.asyncio
    @pytest.mark.parametrize("act", [Act.CREDENTIALS, Act.REFUSE, Act.HANG, Act.BROKEN, Act.DOWN, Act.UNTRUSTED])
    async def test_14_probe_says_what_is_wrong(self, act: Act, caplog: pytest.LogCaptureFixture) -> None:
        """14: bad credentials and a provider in trouble give a bad health with advice; no exception, no secret."""
        self._probing()
        if act not in self.standin().acts:
            pytest.skip(f"not on this wire: {act}")
        caplog.set_level(logging.DEBUG)
        async with self.playing(act, deadline_s=0.6) as (adapter, standin):
            health = await adapter.probe()
            options = self.adapter.Options(**standin.options())
        assert not health.ok
        assert health.advice
        assert not [one for one in self.canaries(options) if one in health.advice or one in caplog.text]

    @pytest.mark.asyncio
    async def test_15_install_and_remove_leave_no_trace(self) -> None:
        """15: install, twice, tells the provider; remove, twice, takes it back."""
        if not issubclass(self.adapter, Installs):
            pytest.skip("there is nothing to install")
        async with self.playing(Act.ACCEPT) as (adapter, standin):
            await adapter.remove()
            assert self.trace(standin) is None
            for _ in range(2):
                await adapter.install(CALLBACK)
                assert self.trace(standin) == CALLBACK
            for _ in range(2):
                await adapter.remove()
                assert self.trace(standin) is None

    def test_16_addresses_are_canonical(self) -> None:
        """16: every accepted spelling becomes one canonical form, which stays as it is and belongs to the channel."""
        adapter = self.built()
        for raw, canonical in self.good_addresses.items():
            address = adapter.address_of(raw)
            assert (address.channel, address.value) == (self.capabilities.channel, canonical)
            assert adapter.address_of(address.value) == address
            assert canonical not in repr(address)

    def test_16_addresses_are_never_guessed(self) -> None:
        """16: what could mean somebody else is refused, and the refusal does not quote it."""
        adapter = self.built()
        for raw in (*self.bad_addresses, *_NEVER_ADDRESSES):
            with pytest.raises(AddressInvalid) as caught:
                adapter.address_of(raw)
            assert caught.value.reason
            assert len(raw) < 4 or raw not in str(caught.value)
            assert caught.value.__cause__ is None

    def test_18_capabilities_are_a_row_of_the_matrix(self) -> None:
        """18: the declaration is complete, within what any channel may carry, and prints as a row."""
        capabilities = self.capabilities
        assert capabilities.max_units > 0
        assert capabilities.formats
        assert capabilities.default_ceiling <= capabilities.ceiling <= Confidentiality.K4
        assert all(one.scope in ("account", "recipient", "people") and one.count > 0 for one in capabilities.limits)
        printed = table({"tried": capabilities})
        assert all(one in printed for one in row("tried", capabilities).values())

    def _probing(self) -> None:
        if not issubclass(self.adapter, Probes):
            pytest.skip("this account cannot be probed")
