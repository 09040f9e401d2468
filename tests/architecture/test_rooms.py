"""What lies in each room: a few known files, and domain nouns with a reason."""

from collections.abc import Mapping

import pytest

from tests.architecture.sources import app_sources

USUAL = frozenset({"__init__", "models", "schemas", "queries", "service", "endpoints", "deps"})
# Words that say nothing: whatever is put there belongs somewhere else.
NEVER = frozenset({"utils", "helpers", "common", "manager", "base_service", "misc", "tools"})
PLUMBING = frozenset({"cli", "domain", "store", "web"})  # rooms that are no features

# Every further file of a feature, and why it is one.
NOUNS: Mapping[str, Mapping[str, str]] = {
    "audit": {
        "inspection": "reading the whole audit again, to find what was altered",
    },
    "grids": {
        "demo": "the demo city's places, computed; only seeding needs them",
        "geojson": "reading a boundary file: pure, with faults of its own",
        "kinds": "levels and code lengths, which models and schemas both need",
        "locator": "which polygon holds a point: a structure in memory, not a query",
    },
    "notifications": {
        "letters": "who hears of what in which words: a table",
    },
    "outbox": {},
    "people": {
        "lockout": "when wrong passwords close the door: one rule with its statements",
        "passwords": "hashing in a bounded pool, and which passwords are good enough",
        "sessions": "opaque tokens and the cache of one process",
    },
    "reference": {
        "calendar_facts": "one version of the calendar as data, and what a draft makes of it: pure",
        "dictionaries": "every closed word list with its Chinese, collected from the domain",
        "holiday_notice": "reading a holiday file: pure, with faults of its own",
        "kinds": "the topic word and small kinds that models and schemas both need",
        "seeds": "what every city starts with, in one call",
        "seeds_calendar": "the State Council's working days as our own table",
        "seeds_city": "categories, units and rules to start with: a table",
        "views": "reference data as the API shows it",
    },
    "requests": {
        "answering": "steps: reply, rating, call-back, settling by the grid",
        "assigning": "steps: who does it",
        "children": "tables of what hangs on a request besides its history",
        "cohandling": "steps: co-tasks",
        "dossier": "a request as its own page shows it, with all that hangs on it",
        "forms": "what clients send: one form for each action",
        "informing": "steps: speaking with the resident",
        "joining": "steps: merging and splitting",
        "move": "a step being taken: what every step function gets and returns",
        "pressing": "steps: urging and supervision",
        "promises": "steps: extensions and suspensions",
        "reviewing": "steps: once more, or not at all",
        "rulebook": "the table of the lifecycle as the API shows it",
        "city": "what is decided on: one moment of the city, and the serial numbers",
        "clocks": "what a step does to the clocks",
        "disclosure": "the two doors that leave a trace: who asked, and the trace itself",
        "recalculation": "open promises counted anew, and written, after a calendar was published",
        "reveal": "opening who asked: one rule with its statements",
        "standings": "what open promises went through, and what another calendar makes of them",
        "steps": "which function each action calls: a table",
        "submission": "the hot path: deciding and writing a new request",
        "views": "what each role sees of a request",
    },
    "sla": {
        "recalculation": "the walk over all open requests after a calendar was published",
        "views": "a draft of a calendar and its consequences as the API shows them",
    },
    "statistics": {},
    "wechat": {
        "breaker": "when to stop calling a server that is down",
        "client": "the one class that speaks to WeChat",
        "fake": "WeChat as demos and tests need it: an ASGI app",
    },
}


def strange_files(files: Mapping[str, frozenset[str]]) -> set[str]:
    """Files that no rule allows, of rooms by name."""
    return {
        f"{room}/{file}"
        for room, found in files.items()
        for file in found
        if file in NEVER
        or (room not in PLUMBING and file not in USUAL and file not in NOUNS.get(room, {}))
    }


@pytest.fixture(scope="module")
def rooms() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for source in app_sources():
        _, *folders, file = source.place.split("/")
        assert len(folders) <= 1, f"{source.place}: rooms have no rooms"
        if folders:
            found.setdefault(folders[0], set()).add(file.removesuffix(".py"))
    return {room: frozenset(files) for room, files in found.items()}


def test_feature_folders_hold_only_known_files(rooms: dict[str, frozenset[str]]) -> None:
    assert not strange_files(rooms)


def test_every_room_is_known_and_every_listed_file_is_there(
    rooms: dict[str, frozenset[str]],
) -> None:
    assert rooms.keys() == NOUNS.keys() | PLUMBING
    for room, nouns in NOUNS.items():
        assert nouns.keys() <= rooms[room], room


@pytest.mark.parametrize(
    ("room", "file"),
    [("grids", "utils"), ("requests", "workflow"), ("web", "helpers"), ("weather", "forecast")],
)
def test_a_strange_file_is_seen(room: str, file: str) -> None:
    assert strange_files({room: frozenset({file})}) == {f"{room}/{file}"}
