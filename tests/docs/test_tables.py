"""What the documents say in tables is what the code says: settings, roles, words, packages."""

import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel, SecretStr

from app.cli import cli
from app.domain.escalation import LEVEL_TEXT
from app.domain.identity import GRANTS, ROLE_TEXT, Permission, Role
from app.domain.lifecycle import STATE_TEXT, TRANSITIONS, Action
from app.domain.measures import DEFINITIONS
from app.grids.kinds import LEVEL_TEXT as GRID_LEVEL_TEXT
from app.reference.dictionaries import DICTIONARIES
from app.settings import Settings
from tests.docs.documents import ENGLISH, READMES, ROOT, rows

DEPENDENCIES = ROOT / "docs" / "dependencies.md"
# The words of the house that stand in no closed list. A change of one is a change of the language.
WORDS = {
    "诉求": "request",
    "网格": "grid",
    "微网格": "micro-grid",
    "网格长": "grid leader",
    "网格队伍": "team",
    "党小组": "party group",
    "移交": "hand-over",
    "服务牌": "plaque",
    "承办单位": "unit",
    "派单": "assign",
    "签收": "sign",
    "退单": "return",
    "联系": "contact",
    "答复": "reply",
    "评价": "rate",
    "办结": "close",
    "满意度": "satisfaction",
    "轮次": "cycle",
    "时限": "policy",
    "工作日历": "calendar",
    "调休": "make-up day",
    "暂定": "provisional",
    "协办": "co-task",
    "延期": "extension",
    "挂起": "suspension",
    "催办": "urge",
    "督办": "supervision",
    "回访": "call-back",
    "重办": "reopen",
    "微心愿": "wish",
    "微点子": "idea",
    "走访": "visit",
}

both = pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
_GROUP: Any = typer.main.get_command(cli)
COMMANDS = {name: _GROUP.get_command(None, name) for name in _GROUP.list_commands(None)}


# --- settings ------------------------------------------------------------------------------------


def shown(default: Any) -> str:
    """A default as the table has it; nothing where there is none."""
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default in (None, ""):
        return ""
    if isinstance(default, bool | list):
        default = json.dumps(default)
    return f"`{default}`"


def knobs(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Every environment variable with its default and its description."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from knobs(kind, f"{prefix}{name.upper()}__")
            continue
        variable = str(field.validation_alias or f"{prefix}{name.upper()}")
        yield f"`{variable}`", shown(field.default), field.description or ""


@both
def test_the_configuration_table_has_every_knob_with_its_default(readme: Path) -> None:
    told = [
        cells[:2]
        for cells in rows(readme.read_text("utf-8"))
        if re.fullmatch(r"`(LIANXIN_|DATABASE_)\w+`", cells[0])
    ]
    assert told == [knob[:2] for knob in knobs(Settings, "LIANXIN_")]


def test_the_configuration_table_says_what_the_settings_say() -> None:
    told = {cells[0]: cells[-1] for cells in rows(ENGLISH.read_text("utf-8"))}
    for variable, _, description in knobs(Settings, "LIANXIN_"):
        assert told[variable].strip()
        assert description in told[variable]


def test_variables_are_the_ones_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANXIN_WEB__PORT", "8123")
    monkeypatch.setenv("LIANXIN_WEB__ALLOWED_HOSTS", '["a.example"]')
    monkeypatch.setenv("DATABASE_URL", "postgresql://somewhere/lianxin")
    settings = Settings()
    assert settings.web.port == 8123
    assert settings.web.allowed_hosts == ["a.example"]
    assert settings.database_url == "postgresql://somewhere/lianxin"


# --- commands ------------------------------------------------------------------------------------


@both
def test_the_options_of_run_are_all_told(readme: Path) -> None:
    serve = COMMANDS["serve"]
    options = {option for parameter in serve.params for option in parameter.opts}
    told = {
        cells[0].strip("`").split()[0]
        for cells in rows(readme.read_text("utf-8"))
        if cells[0].startswith("`--")
    }
    assert told == options - {"--help"}


@both
def test_every_command_is_named(readme: Path) -> None:
    text = readme.read_text("utf-8")
    for name, command in COMMANDS.items():
        inner = getattr(command, "commands", None)
        names = [f"{name} {verb}" for verb in inner] if inner else [name]
        assert all(f"`{full}`" in text for full in names), name


# --- roles ---------------------------------------------------------------------------------------


def deeds(role: Role) -> list[str]:
    """What a role may do to a request, in the order of the table."""
    submits = [Action.SUBMIT] if role in GRANTS[Permission.REQUEST_SUBMIT] else []
    return [*dict.fromkeys([*submits, *(step.action for step in TRANSITIONS if role in step.by)])]


@both
def test_the_table_of_roles_is_the_table_of_the_lifecycle(readme: Path) -> None:
    told = {
        cells[0].strip("`"): cells
        for cells in rows(readme.read_text("utf-8"))
        if cells[0].strip("`") in set(Role)
    }
    assert list(told) == [role.value for role in Role]
    for role in Role:
        _, text, sees, does = told[role]
        assert text == ROLE_TEXT[role]
        assert sees
        assert re.findall(r"`(\w+)`", does) == deeds(role)


# --- words ---------------------------------------------------------------------------------------


@both
def test_the_glossary_has_every_word_of_the_house(readme: Path) -> None:
    told = {cells[0]: cells[1] for cells in rows(readme.read_text("utf-8")) if cells[0] in WORDS}
    assert told.keys() == WORDS.keys()
    for chinese, code in WORDS.items():
        assert re.match(rf"{re.escape(code)}\b", told[chinese]), chinese


def pairs() -> Iterator[str]:
    """Every word of every closed list: its Chinese, then its code."""
    for name, texts in DICTIONARIES.items():
        if name not in ("states", "public_states", "roles"):
            yield from (f"{text} `{code}`" for code, text in texts.items())
    yield from (f"{staff} / {own} `{state}`" for state, (staff, own) in STATE_TEXT.items())
    yield from (f"{text} `{level}`" for level, text in {**LEVEL_TEXT, **GRID_LEVEL_TEXT}.items())
    yield from (f"{meaning.name} `{measure}`" for measure, meaning in DEFINITIONS.items())


@both
def test_the_closed_word_lists_are_complete(readme: Path) -> None:
    text = re.sub(r"\s+", " ", readme.read_text("utf-8"))
    assert len(list(pairs())) > 90
    assert not [pair for pair in pairs() if pair not in text]


# --- where things are ----------------------------------------------------------------------------


@both
def test_every_room_stands_in_the_tree(readme: Path) -> None:
    text = readme.read_text("utf-8")
    rooms = [path.name for path in (ROOT / "app").iterdir() if (path / "__init__.py").exists()]
    assert len(rooms) > 10
    assert not [room for room in rooms if f"app/{room}/" not in text and f" {room}/" not in text]


def documents() -> list[Path]:
    return [*READMES, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (document.parent / link).exists()]


def test_the_list_of_errors_is_there() -> None:
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    assert "idempotency_missing" in text
    assert "stale_version" in text


def test_decisions_are_numbered_without_a_gap_and_say_what_follows() -> None:
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert len(files) >= 8
    assert [file.name[:4] for file in files] == [f"{n:04}" for n in range(1, len(files) + 1)]
    for file in files:
        text = file.read_text("utf-8")
        assert text.startswith(f"# {file.name[:4]} ")
        for heading in ("## Context", "## Decision", "## Consequence"):
            assert heading in text, (file.name, heading)
        assert len(text.split()) < 520, f"{file.name}: half a page"


# --- packages ------------------------------------------------------------------------------------


def named(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0]  # type: ignore[index]


def declared() -> dict[str, list[str]]:
    """The packages that pyproject.toml names, by the heading they stand under."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return {
        "Running": [named(package) for package in content["project"]["dependencies"]],
        "Developing": [named(package) for package in content["dependency-groups"]["dev"]],
    }


def licence_of(package: str) -> str:
    """As the installed package declares it, in its newest or its oldest way."""
    said = metadata(package)
    classified = [
        line.rpartition(" :: ")[2]
        for line in said.get_all("Classifier", ())
        if line.startswith("License ::")
    ]
    return str(said["License-Expression"] or said["License"] or ", ".join(classified))


@pytest.mark.parametrize("heading", ["Running", "Developing"])
def test_every_package_is_accounted_for(heading: str) -> None:
    _, _, section = DEPENDENCIES.read_text("utf-8").partition(f"## {heading}\n")
    told = [cells for cells in rows(section.partition("\n## ")[0]) if cells[0] != "package"]
    assert [cells[0].strip("`") for cells in told] == declared()[heading]
    for package, purpose, reason, licence in told:
        assert purpose, package
        assert reason, package
        assert licence == licence_of(package.strip("`")), package
