"""docker-compose.yml, as far as it can be judged without an engine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from likeness.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture
def compose() -> dict[str, Any]:
    """The file, anchors merged."""
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture
def nginx(compose: dict[str, Any]) -> str:
    """nginx's configuration as nginx gets it."""
    return compose["configs"]["nginx"]["content"].replace("$$", "$")


def test_follows_the_compose_specification() -> None:
    """The published schema of the format accepts the file."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stdout.replace("ok -- validation done\n", "") + done.stderr)


def test_has_the_parts(compose: dict[str, Any]) -> None:
    """API, worker, one-shot migration, database, bus and proxy."""
    assert {"app", "worker", "migrate", "postgres", "valkey", "nginx"} == set(compose["services"])


def test_dependencies_exist_and_can_become_true(compose: dict[str, Any]) -> None:
    """The schema misses a dependency on a service that is not there, or on the health of one that has no check."""
    services = compose["services"]
    wrong = [
        f"{name} -> {target}"
        for name, service in services.items()
        for target, need in service.get("depends_on", {}).items()
        if target not in services or (need["condition"] == "service_healthy" and "healthcheck" not in services[target])
    ]
    assert wrong == []
    assert "service_completed_successfully" == services["app"]["depends_on"]["migrate"]["condition"]
    assert "no" == services["migrate"]["restart"]


@pytest.mark.parametrize("kind", ["volumes", "configs"])
def test_named_parts_are_declared(compose: dict[str, Any], *, kind: str) -> None:
    """Every volume and config that a service names is declared, and the other way round."""
    entries = [entry for service in compose["services"].values() for entry in service.get(kind, [])]
    named = {entry["source"] if isinstance(entry, dict) else entry.split(":")[0] for entry in entries}
    assert set(compose[kind]) == named


def test_every_service_is_confined(compose: dict[str, Any]) -> None:
    """No capabilities, no way to more of them, a root that cannot be written, bounded memory and logs."""
    for name, service in compose["services"].items():
        kept = {key: service.get(key) for key in ("cap_drop", "read_only", "init", "security_opt", "stop_grace_period")}
        wanted = {
            "cap_drop": ["ALL"],
            "read_only": True,
            "init": True,
            "security_opt": ["no-new-privileges:true"],
            "stop_grace_period": "30s",
        }
        assert wanted == kept, name
        assert service["mem_limit"], name
        assert service["logging"]["options"]["max-size"], name


def test_only_nginx_is_reachable(compose: dict[str, Any]) -> None:
    """Database, bus and API publish no port."""
    assert ["nginx"] == [name for name, service in compose["services"].items() if "ports" in service]


def test_nginx_lets_uploads_and_websockets_through(nginx: str) -> None:
    """20 photos of 10 MiB fit, are not gathered on nginx's disk first, and a websocket can be opened."""
    limit = re.search(r"client_max_body_size (\d+)m;", nginx)
    assert limit is not None
    assert int(limit[1]) * 1024 * 1024 > 20 * 10485760
    for line in (
        "proxy_request_buffering off;",
        "proxy_http_version 1.1;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection $connection_upgrade;",
        "location = /metrics { return 404; }",
    ):
        assert line in nginx


def test_dollars_are_escaped(compose: dict[str, Any]) -> None:
    """A single $ in nginx's configuration would be taken for a variable of compose."""
    assert [] == re.findall(r"(?<!\$)\$(?!\$)", compose["configs"]["nginx"]["content"].replace("$$", ""))


def test_image_is_locked_and_unprivileged(compose: dict[str, Any]) -> None:
    """The image holds exactly the locked packages and does not run as root."""
    dockerfile = compose["services"]["app"]["build"]["dockerfile_inline"]
    assert "--require-hashes -r requirements.lock" in dockerfile
    assert re.search(r"^USER (?!root|0)\w+$", dockerfile, re.MULTILINE)
    assert "!requirements.lock" in (ROOT / ".dockerignore").read_text().splitlines()


def test_no_secret_is_written_down(compose: dict[str, Any]) -> None:
    """Keys and passwords come from the environment, and the two that nothing works without are demanded."""
    secret = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|CLOUDINARY_URL")
    written = [
        f"{name}: {variable}"
        for name, service in compose["services"].items()
        for variable, value in service.get("environment", {}).items()
        if secret.search(variable) and value is not None and not re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)
    ]
    assert written == []
    text = COMPOSE.read_text()
    assert "${JWT_SECRET:?" in text
    assert r"likeness:${POSTGRES_PASSWORD:?" in text


def test_example_and_compose_name_the_same_settings(compose: dict[str, Any]) -> None:
    """A setting of .env.example that compose did not pass on would silently do nothing."""
    example = re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    passed = set(compose["services"]["app"]["environment"]) - {"FORWARDED_ALLOW_IPS", "FAL_API_KEY", "TMPDIR"}
    assert passed == set(example) - {"POSTGRES_PASSWORD", "LISTEN"}
    assert passed == {name.upper() for name in Settings.model_fields}
    assert compose["services"]["app"]["environment"] == compose["services"]["worker"]["environment"]
