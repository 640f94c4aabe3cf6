"""compose.yaml and the Dockerfile as far as they can be read without an engine: services, commands, secrets, ports."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from gateway.settings import load
from tests.house import tree

COMPOSE: dict[str, Any] = yaml.safe_load(tree.text(tree.ROOT, Path("compose.yaml")))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = tree.text(tree.ROOT, Path("Dockerfile"))


def test_the_scaled_mode_is_complete():
    """Everything that the scaled mode is made of is there."""
    assert set(SERVICES) == {"gateway", "worker", "migrate", "postgres", "redis", "sandbox"}


@pytest.mark.parametrize("name", ["gateway", "worker", "migrate"])
def test_a_service_runs_a_command_that_exists(name: str):
    """The words after `botengang` are commands of the program."""
    from gateway.cli import app  # noqa: PLC0415 - the rest of this file is about files only

    assert DOCKERFILE.count('ENTRYPOINT ["botengang"]') == 1
    assert SERVICES[name]["command"][0] in get_command(app).commands


def test_the_sandbox_is_its_own_program_on_loopback_and_not_started_unasked():
    """It shares the worker's network instead of listening to others."""
    sandbox = SERVICES["sandbox"]
    assert find_spec(f"{sandbox['entrypoint'][2]}.__main__") is not None
    assert sandbox["command"][:2] == ["--host", "127.0.0.1"]
    assert (sandbox["network_mode"], sandbox["profiles"]) == ("service:worker", ["sandbox"])
    assert not {"environment", "env_file", "volumes", "secrets"} & set(sandbox)


def test_only_the_gateway_has_a_port_and_only_on_loopback():
    """Database and doorbell cannot be reached from outside; the API only through a proxy on the same machine."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:8080:8080"]}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert {name for name in ("postgres", "redis", "migrate") if SERVICES[name]["networks"] != ["inside"]} == set()


def test_no_secret_is_written_down():
    """Passwords and keys come from files: whatever is named like one has a path as its value."""
    environment = {
        name: value for service in SERVICES.values() for name, value in service.get("environment", {}).items()
    }
    secret = {name: value for name, value in environment.items() if re.search("PASSWORD|TOKEN|SECRET|KEY", name)}
    assert "POSTGRES_PASSWORD_FILE" in secret
    assert [name for name, value in secret.items() if not value.startswith(("/run/secrets", "/var/lib/"))] == []
    assert COMPOSE["secrets"] == {"postgres_password": {"file": "./secrets/postgres_password"}}
    assert "/secrets/" in tree.text(tree.ROOT, Path(".gitignore")).splitlines()


def test_the_settings_of_the_containers_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The environment of the gateway, with the one secret file that the header asks for, loads as the scaled mode."""
    (tmp_path / "GATEWAY_DATABASE_URL").write_text("postgresql+asyncpg://botengang:x@postgres/botengang", "utf-8")
    for name, value in SERVICES["gateway"]["environment"].items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = load()
    assert not settings.embedded
    assert settings.database.startswith("postgresql+asyncpg://")
    assert settings.listen == "0.0.0.0:8080"  # inside the container


def test_everything_starts_after_what_it_needs():
    """Tables are there before anybody uses them, and servers answer before anybody asks."""
    for name in ("gateway", "worker"):
        needs = SERVICES[name]["depends_on"]
        assert needs["migrate"] == {"condition": "service_completed_successfully"}
        assert needs["redis"] == {"condition": "service_healthy"}
    assert all("test" in SERVICES[name]["healthcheck"] for name in ("postgres", "redis"))


def test_the_image_is_pinned_unprivileged_and_watched():
    """Packages by hash, no root, and a health check on the route that exists for it."""
    assert "--require-hashes" in DOCKERFILE
    assert re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE) == ["10001"]
    assert DOCKERFILE.index("USER 10001") < DOCKERFILE.index("ENTRYPOINT")
    assert "/livez" in DOCKERFILE[DOCKERFILE.index("HEALTHCHECK") :]


def test_what_the_image_copies_is_there_and_reaches_the_builder():
    """Each COPY names something that exists and that .dockerignore lets through."""
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    }
    let_through = set(re.findall(r"^!(\S+)$", tree.text(tree.ROOT, Path(".dockerignore")), re.MULTILINE))
    assert copied == let_through
    assert [name for name in copied if not (tree.ROOT / name).exists()] == []
