"""Fork gateway processes from one that has imported the program: importing takes longer than everything we measure.

A program of its own (``python -m benchmarks.chaos.nursery``): one JSON order a line on standard input, a JSON line for
every birth and every death on standard output. At the end of its input it kills the processes it made, and no others.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from typing import Any

from channels.kit import registry
from gateway import cli

_LOOK_S = 0.05


def main() -> None:
    """Serve orders until nobody is left to give any."""
    for name in registry.installed():
        registry.load(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us decides when to end
    living: set[int] = set()
    _tell(ready=True)
    pending = b""
    while True:
        readable, _, _ = select.select([0], [], [], _LOOK_S)
        if readable:
            read = os.read(0, 65_536)
            if not read:
                break
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                living.add(_bear(json.loads(line)))
        _bury(living)
    for pid in living:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _bear(order: dict[str, Any]) -> int:
    """Fork one process: ``argv`` of the command line, its whole ``env``, its folder ``cwd``, its ``log``."""
    pid = os.fork()
    if pid:
        _tell(born=pid, order=order["order"])
        return pid
    try:
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        sys.argv = ["botengang", *order["argv"]]
        cli.main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        os._exit(70)


def _bury(living: set[int]) -> None:
    for pid in list(living):
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            living.discard(pid)
            _tell(died=pid, status=os.waitstatus_to_exitcode(status))


def _tell(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
