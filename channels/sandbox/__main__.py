"""Run the sandbox as a program: arguments, one ready line on standard output, a clean end.

Standard output carries the ready line and nothing else; everything for people goes to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

from channels.sandbox.loopback import NotLoopback, loopback_host
from channels.sandbox.server import open_sandbox

_USAGE_ERROR = 2


def main() -> int:
    """Run until told to stop; return the exit status (2: wrong arguments, 1: cannot listen)."""
    options = _options()
    try:
        loopback_host(options.host)
    except NotLoopback as exc:
        _tell(str(exc))
        return _USAGE_ERROR
    try:
        asyncio.run(_run(options))
    except OSError as exc:
        _tell(f"cannot start: {exc.strerror or exc}")
        return 1
    return 0


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.exit_with_parent:
        threading.Thread(target=_watch_parent, args=(loop, stop), daemon=True).start()
    async with open_sandbox(
        options.dir,
        host=options.host,
        http_port=options.http_port,
        smtp_port=options.smtp_port,
        starts_at=options.starts_at,
    ) as sandbox:
        for port in sandbox.moved:
            _tell(f"port {port} is taken, so another one was chosen")
        sys.stdout.write(sandbox.facts.as_json() + "\n")
        sys.stdout.flush()
        await stop.wait()


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Stop at the end of standard input: whoever started the sandbox is gone, even if it was killed.

    A thread of its own, since an event loop cannot watch every kind of standard input (a file, /dev/null).
    """
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended in the meantime
        loop.call_soon_threadsafe(stop.set)


def _tell(what: str) -> None:
    sys.stderr.write(f"sandbox: {what}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m channels.sandbox",
        description="Local stand-ins for the providers (SMTP, Telegram Bot API, Twilio API), and the phones page.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address; everything else is refused")
    parser.add_argument("--http-port", type=_port, default=0, help="0 chooses a free one")
    parser.add_argument("--smtp-port", type=_port, default=0, help="0 chooses a free one")
    parser.add_argument("--dir", type=Path, required=True, help="where ca.pem is written")
    parser.add_argument("--starts-at", type=_instant, help="instant at which its clock starts, with offset (ISO 8601)")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop at the end of standard input")
    return parser.parse_args()


def _port(raw: str) -> int:
    port = int(raw)
    if not 0 <= port <= 65535:  # noqa: PLR2004 -- the width of a port number
        raise argparse.ArgumentTypeError("expected 0 to 65535")
    return port


def _instant(raw: str) -> datetime:
    instant = datetime.fromisoformat(raw)
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError("expected an offset, as in 2026-11-24T09:00:00+01:00")
    return instant


if __name__ == "__main__":
    sys.exit(main())
