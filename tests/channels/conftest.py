"""Plain asserts of the conformance suite are explained like those of the tests; the example package runs on its own."""

from __future__ import annotations

import pytest

for _module in ("account", "sending", "webhooks"):
    pytest.register_assert_rewrite(f"channels.conformance.{_module}")

collect_ignore = ["thirdparty"]  # test_thirdparty installs it first
