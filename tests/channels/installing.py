"""Install a small package of plain modules without network and build tools, and run its tests as its author would.

Does what an installer does with such a package: copies the modules and writes the metadata (PyPA's ``.dist-info``).
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install(source: Path, target: Path) -> None:
    """Install the package in ``source`` (pyproject.toml and modules) into the folder ``target``."""
    project = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    for module in source.glob("*.py"):
        if not module.name.startswith("test_"):
            shutil.copy(module, target)
    metadata = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project.get("entry-points", {})
    lines = [
        line
        for group, entries in groups.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")


async def run_python(*arguments: str, path: Path) -> tuple[int, str]:
    """Run Python as a user of ``path`` and of this project would; return exit status and everything it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=path,
        env={"PYTHONPATH": f"{path}:{ROOT}", "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(100):
        printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def run_suite(test: Path, *, path: Path) -> str:
    """Run one test file against what is installed in ``path``, without this project's settings; return its output."""
    bare = ("-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(path))
    status, printed = await run_python("-m", "pytest", "-q", *bare, str(test), path=path)
    assert status == 0, printed[-3000:]
    return printed
