"""The image and the compose file, as far as they can be judged without an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return content


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def test_compose_starts_things_in_order(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"postgres", "migrate", "app", "worker"}
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("app", "worker"):
        after = services[name]["depends_on"]["migrate"]
        assert after["condition"] == "service_completed_successfully"
        assert services[name]["restart"] == "unless-stopped"
    assert services["migrate"]["restart"] == "no"
    assert services["app"]["command"][:2] == ["serve", "--no-worker"]
    assert services["worker"]["command"] == ["worker"]
    assert services["postgres"]["healthcheck"]["test"][0] == "CMD"


def test_the_database_is_on_a_volume_and_on_no_port(compose: dict[str, Any]) -> None:
    postgres = compose["services"]["postgres"]
    assert "ports" not in postgres
    assert [mount.split(":")[0] for mount in postgres["volumes"]] == ["database"]
    assert "database" in compose["volumes"]


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if re.search(r"PASSWORD|SECRET|KEY|APP_ID|DATABASE_URL", name):
                assert re.search(r"\$\{[A-Z_]+:\?", value), f"{name} may be empty"


def test_the_service_has_no_more_rights_than_it_needs(compose: dict[str, Any]) -> None:
    for name in ("migrate", "app", "worker"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["environment"]["LIANXIN_PROFILE"] == "production"


def test_the_image_runs_as_a_user_and_tells_its_health(dockerfile: str) -> None:
    final = dockerfile.split("\nFROM ")[-1]
    assert re.search(r"^USER (?!0|root)", final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "/health/ready" in final
    assert "curl" not in dockerfile
    assert "uv sync --frozen --no-dev" in dockerfile
    assert dockerfile.count("\nFROM ") == 2


def test_the_image_is_built_with_the_pinned_uv(dockerfile: str) -> None:
    pinned = re.search(r"UV_PIN=([\d.]+)", (ROOT / "scripts" / "setup.sh").read_text())
    assert pinned
    assert f"uv:{pinned[1]} " in dockerfile


def test_what_the_image_copies_is_let_through(dockerfile: str) -> None:
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")
    }
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)
