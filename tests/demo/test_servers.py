"""The demonstration on real servers: the same run on PostgreSQL and Redis, and again from a clean state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import databases

LIMIT_S = 90


def run(folder: Path, **settings: str) -> dict[str, Any]:
    """Run once for forty people on these servers; return the JSON of the last line."""
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith("GATEWAY_")}
    command = [sys.executable, "-m", "gateway", "demo", "--once", "--json", "--people", "40"]
    done = subprocess.run(
        command, cwd=folder, env=env | settings, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_it_runs_on_real_servers_twice(tmp_path: Path, postgres_url: str, redis_url: str):
    """With both servers named it makes its own key ring, loses nobody, and starts clean the second time."""
    with databases.postgres_created(postgres_url) as url:
        servers = {"GATEWAY_DATABASE_URL": url, "GATEWAY_REDIS_URL": redis_url}
        first, second = run(tmp_path, **servers), run(tmp_path, **servers)
    assert (first["posted"], first["lost"], first["duplicates"]) == (40, 0, 0)
    assert {name: second[name] for name in ("posted", "lost", "duplicates", "channels", "reasons")} == {
        name: first[name] for name in ("posted", "lost", "duplicates", "channels", "reasons")
    }
