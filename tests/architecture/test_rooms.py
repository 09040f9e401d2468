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
        "heads": "where a chain stands, for one statement that writes its entry too",
        "inspection": "reading the whole audit again, to find what was altered",
    },
    "grids": {
        "administration": "doors for those who draw the grids: imports and the coverage audit",
        "boundary_file": "what all files of places have in common: codes, names, faults: pure",
        "conventions": "what a city calls its levels, and how many households it wants",
        "demo": "the demo city's places, computed; only seeding needs them",
        "division_list": "reading places without boundaries out of a CSV list: pure",
        "geojson": "reading a boundary file: pure, with faults of its own",
        "imports": "a file against the present tree: what would become different",
        "inspection": "the tree audited against itself: pure",
        "legacy": "units of older nets: one list with its statements",
        "lineage": "what became of a place that was split, merged or moved: pure",
        "kinds": "levels and code lengths, which models and schemas both need",
        "locator": "which polygon holds a point: a structure in memory, not a query",
        "plausibility": "mixed-up coordinate systems found by the ground that is known: pure",
        "shapefiles": "reading an ESRI Shapefile: pure",
        "standings": "rows of places: as they are, as they were, and writing them",
        "uploads": "a file of any format, from this machine or the body of an HTTP request",
        "views": "imports and audits of the tree as the API shows them",
    },
    "maps": {
        "atlas": "the borders as maps want them, drawn once for each state of the tree",
        "registers": "what the map shows of people, land and houses",
    },
    "intelligence": {
        "dry_run": "what another set of rules would have done: reads only",
        "evaluation": "how often a proposal is right, beside the plain look-up: pure",
        "history_file": "reading a file of what was done before: pure, with faults of its own",
        "learning": "fitting weights; the only file that needs the training libraries",
        "suggesting": "a proposal of units for one request",
        "views": "rule sets, dry runs and proposals as the API shows them",
    },
    "notifications": {
        "letters": "who hears of what in which words: a table",
        "recipients": "whom an audience means, found out for a batch with one question",
    },
    "outbox": {},
    "people": {
        "logins": "the staff's way in: one flow with what the audit is told of it",
        "looks": "looking at personal data in clear: what it costs and leaves behind",
        "lockout": "when wrong passwords close the door: one rule with its statements",
        "passwords": "hashing in a bounded pool, and which passwords are good enough",
        "sessions": "opaque tokens and the cache of one process",
    },
    "reference": {
        "calendar_facts": "one version of the calendar as data, and what a draft makes of it: pure",
        "dictionaries": "every closed word list with its Chinese, collected from the domain",
        "holiday_notice": "reading a holiday file: pure, with faults of its own",
        "kinds": "the topic word and small kinds that models and schemas both need",
        "rule_schemas": "routing rules on the wire",
        "rule_sets": "versions of the routing rules: drafting, changing, activating",
        "rules": "routing rules in memory and in their table",
        "seeds": "what every city starts with, in one call",
        "seeds_calendar": "the State Council's working days as our own table",
        "seeds_city": "categories, units and rules to start with: a table",
        "views": "reference data as the API shows it",
    },
    "registry": {
        "collecting": "a batch from a phone: each record answered by itself, and once",
        "columns": "the columns of a file: names, and how a cell is read: pure",
        "contents": "a record's content as values, and as the columns of its row",
        "demo": "the demo city's people, land and houses, computed",
        "dwellings": "houses as points, for those who ask whether the grids cover them",
        "forms": "what phones send: one form for each kind",
        "importing": "a file's rows: what each means, and writing them by thousands",
        "kinds": "the five kinds of records: a table",
        "progress": "how far the collecting is: one statement",
        "register": "the records of one kind that a batch touches, as they become",
        "reveal": "opening a person: one rule with its statements",
        "sheets": "reading CSV and XLSX row by row, and writing bad rows back: no database",
        "views": "a record as the API shows it, masked",
        "writing": "many records in one statement, or copied beside it first",
    },
    "requests": {
        "answering": "steps: reply, rating, call-back, settling by the grid",
        "assigning": "steps: who does it",
        "by_rule": "what a routing rule wants besides a unit, in the statement of a submission",
        "children": "tables of what hangs on a request besides its history",
        "cohandling": "steps: co-tasks",
        "crowds": "writing a rating, and how many came near it",
        "dossier": "a request as its own page shows it, with all that hangs on it",
        "forms": "what clients send: one form for each action",
        "exclusion": "which figures a request is left out of, in its row and as a condition",
        "grid_first": "what the grid did not settle in time goes to its unit",
        "informing": "steps: speaking with the resident",
        "joining": "steps: merging and splitting",
        "move": "a step being taken: what every step function gets and returns",
        "places": "the tree of grids as a gazetteer for addresses",
        "reading": "one request with all that hangs on it: a hot path with its statements",
        "pressing": "steps: urging and supervision",
        "promises": "steps: extensions and suspensions",
        "reviewing": "steps: once more, or not at all",
        "succession": "who takes the place of a master that is withdrawn",
        "rulebook": "the table of the lifecycle as the API shows it",
        "sampling": "putting answered requests on the callers' list",
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
    "satisfaction": {
        "agreement": "what people said when called against what they had rated, and who is told",
        "anomalies": "what looks wrong about ratings and closings: a statement for each kind",
        "appeals": "the doors of those who ask for an exclusion and decide it",
        "exclusions": "asking that a request does not count: the flow and what figures ask of it",
        "views": "samples, agreement, anomalies and exclusions as the API shows them",
    },
    "sla": {
        "recalculation": "the walk over all open requests after a calendar was published",
        "sweeping": "one turn of the sweep, in short transactions",
        "views": "a draft of a calendar and its consequences as the API shows them",
    },
    "statistics": {
        "city_deadlines": "due times of a made-up year, by the rules of the domain: pure",
        "city_lives": "one made-up request from its submission to the archive",
        "city_loading": "a made-up year into the database by COPY, and what the audit keeps of it",
        "city_rows": "rows of made-up requests as COPY reads them: pure",
        "city_telling": "a made-up request being told: its steps in the order of time",
        "city_words": "what made-up residents write and made-up units answer: a table",
        "city_year": "how many requests of a made-up year on which day, about what, where: pure",
        "counting": "figures counted from the requests themselves",
        "folding": "requests folded into cells, and cells into vectors: pure",
        "questions": "what is asked and what was counted: words all ways of counting share: pure",
        "rollup_making": "the job that makes sums of days and months",
        "rollup_proof": "every number of the sums, counted again",
        "rollups": "figures from sums that were made before, exact at any moment",
        "cells": "columns of cells, and days as numbers: pure",
        "cohorts": "the requests of a cohort one by one, as columns",
        "sheets": "sums as they were read: columns of cells",
        "spans": "spans of cohorts and their sums, as one statement reads them",
        "support": "who stands behind the cells of a table, remembered",
        "sums": "which sums are kept, and by what: pure",
        "tallying": "cells put into the groups that a query asks for: pure",
        "dimensions": "by what figures are grouped and narrowed: hierarchies and their SQL",
        "detail": "every request behind an export's figures, as one table",
        "export_doors": "exports over HTTP: asking, looking, cancelling, fetching",
        "export_files": "a file of tables as XLSX, CSV or JSON, written row by row",
        "export_job": "making one export: figures and detail as of one moment",
        "export_sheets": "the small tables of an export: figures, ranking, definitions: pure",
        "exporting": "exports as rows: asked for, claimed, finished, fetched",
        "frozen": "what a publication freezes: canonical text, hash, differences: pure",
        "kinds": "words about exports that models, wire and writers all need",
        "publication_schemas": "published figures and exports on the wire",
        "publishing": "published figures over HTTP",
        "snapshots": "publishing a period, and reading it again: one rule with its statements",
        "workbook": "XLSX straight into a ZIP: any number of rows in the same memory",
        "engine": "a question as one statement, its rows as cells with margins",
        "members": "the drill-down: the requests behind a cell",
        "periods": "what a period means, and what it is compared with",
        "predicates": "which request counts for which figure: a table",
        "small_cells": "what is not told to those who see figures only",
        "views": "figures and the requests behind them as the API shows them",
    },
    "teams": {
        "doors": "plaques over HTTP: for administrators, and for whoever reads the code",
        "forms": "what is sent to change teams and their rules",
        "handovers": "open work when a leader changes: one record with its statements",
        "kinds": "small kinds that models, schemas and rules all need",
        "pages": "plaques as HTML: the sheet to print and the public page",
        "photo_doors": "the leader's photograph over HTTP",
        "photos": "the leader's photograph: one record with its statements",
        "plaques": "issuing and revoking, and what anybody may see of a team",
        "portraits": "a small JPEG made anew from the file that was sent",
        "reveal": "opening a member: one rule with its statements",
        "rules": "templates and duties, version by version",
        "views": "teams as the API shows them",
    },
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
