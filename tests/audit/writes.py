"""Every way to write into the database, found in the source, and what the audit makes of it.

``found`` reads the syntax trees: SQL in texts, SQLAlchemy's ``insert``, ``update`` and ``delete``,
rows made from mapped classes, and members set on rows that were loaded. ``AUDITED`` and
``TECHNICAL`` say of each place and table what it is. A new way is in neither, so that whoever adds
it has to decide; ``tests/audit/test_every_write.py`` then watches the database whether it is true.
"""

import ast
import re
from collections.abc import Iterator

from app.store.base import Base
from app.tables import metadata
from tests.architecture.sources import Source

UNKNOWN = "?"  # a table that only the running program knows

_TABLES = {mapper.class_.__name__: str(mapper.local_table.name) for mapper in Base.registry.mappers}
_ROOMS = {
    mapper.class_.__name__: mapper.class_.__module__.split(".")[1]
    for mapper in Base.registry.mappers
}
_COLUMNS = {
    mapper.class_.__name__: {attribute.key for attribute in mapper.column_attrs}
    for mapper in Base.registry.mappers
}
_SQL = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?|COPY)"
    r"\s+(?:ONLY\s+)?(\{\}|[a-z_][a-z0-9_]*)"
)
_STATEMENTS = frozenset({"insert", "update", "delete"})
_BY_ROW = frozenset({"delete", "merge", "bulk_save_objects"})  # of a session: a row of any table


def found(source: Source) -> set[str]:
    """The names of the tables that a module may write to."""
    if source.place.endswith(("/models.py", "/children.py")):
        return set()  # where the tables are declared
    tree = source.tree
    return {*_in_texts(tree), *_in_calls(tree), *_in_members(source)}


def _in_texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        for name in _SQL.findall(text):
            if name == "{}":
                yield UNKNOWN
            elif name in metadata.tables:
                yield name


def _in_calls(tree: ast.Module) -> Iterator[str]:
    mapped, statements = _imported(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in statements:
                yield _table_of(node.args[0], mapped)
            case ast.Name(id=name) if name in mapped:
                yield _TABLES[mapped[name]]
            case ast.Attribute(attr=name, value=ast.Name(id="sqlalchemy" | "sa" | "postgresql")):
                if name in _STATEMENTS:
                    yield _table_of(node.args[0], mapped)
            case ast.Attribute(attr=name, value=ast.Attribute(attr="__table__", value=model)):
                if name in _STATEMENTS:
                    yield _table_of(model, mapped)
            case ast.Attribute(attr=name, value=receiver) if name in _BY_ROW:
                if ast.unparse(receiver).rpartition(".")[2] == "session":
                    yield UNKNOWN


def _imported(tree: ast.Module) -> tuple[dict[str, str], set[str]]:
    """Mapped classes by the names they have here, and the names of SQLAlchemy's statements."""
    mapped, statements = {}, set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            here = alias.asname or alias.name
            if alias.name in _TABLES:
                mapped[here] = alias.name
            if (node.module or "").startswith("sqlalchemy") and alias.name in _STATEMENTS:
                statements.add(here)
    return mapped, statements


def _table_of(node: ast.expr, mapped: dict[str, str]) -> str:
    if isinstance(node, ast.Name) and node.id in mapped:
        return _TABLES[mapped[node.id]]
    return UNKNOWN


def _in_members(source: Source) -> Iterator[str]:
    """``request.state = …``: a member named like a column of the room's own tables. Nothing says
    of which of them the row is, unless it has the name that requests have everywhere."""
    room = source.place.split("/")[1]
    here = [name for name, place in _ROOMS.items() if place == room]
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Store):
            continue
        of = ast.unparse(node.value).rpartition(".")[2]
        for model in ["CitizenRequest"] if of == "request" else here:
            if of != "self" and node.attr in _COLUMNS[model]:
                yield _TABLES[model]


# --- what the audit makes of it ------------------------------------------------------------------

# What hangs on a request changes by a step, or with the calendar: both write an entry.
OF_REQUESTS = frozenset(name for name in metadata.tables if name.startswith("request"))

# What a batch makes of the registers: each record that is written has an entry.
OF_REGISTERS = frozenset(name for name in metadata.tables if name.startswith("registry_")) - {
    "registry_collections"
}

OF_TEAMS = frozenset(
    {"plaques", "team_handovers", "team_members", "team_photos", "team_rules", "teams"}
)

# place → the tables whose change there has an entry in the same transaction.
AUDITED: dict[str, frozenset[str]] = {
    "app/grids/demo.py": frozenset({"grid_counties", "grids"}),
    "app/grids/conventions.py": frozenset({"grid_level_names", "grid_load_rules"}),
    "app/grids/legacy.py": frozenset({"legacy_unit_grids", "legacy_units"}),
    "app/grids/service.py": frozenset({"grid_lineage"}),
    "app/grids/standings.py": frozenset(
        {"grid_counties", "grid_lineage", "grid_versions", "grids"}
    ),
    "app/people/lockout.py": frozenset({"login_sessions", "staff"}),
    "app/people/service.py": frozenset({"residents", "staff"}),
    "app/people/sessions.py": frozenset({"login_sessions"}),
    "app/intelligence/service.py": frozenset({UNKNOWN, "routing_history", "routing_models"}),
    "app/reference/rule_sets.py": frozenset({"routing_rules", "routing_rule_sets"}),
    "app/reference/seeds.py": frozenset({UNKNOWN}),  # units, policies, categories, routing rules
    "app/reference/service.py": frozenset({"calendar_days", "calendars"}),
    "app/registry/collecting.py": OF_REGISTERS,  # members of answers
    "app/registry/register.py": OF_REGISTERS,
    "app/registry/writing.py": frozenset({UNKNOWN, "registry_residences"}),
    "app/requests/answering.py": OF_REQUESTS,
    "app/requests/assigning.py": OF_REQUESTS,
    "app/requests/clocks.py": OF_REQUESTS,
    "app/requests/cohandling.py": OF_REQUESTS,
    "app/requests/crowds.py": OF_REQUESTS,
    "app/requests/by_rule.py": OF_REQUESTS,
    "app/requests/exclusion.py": frozenset({"requests"}),
    "app/requests/grid_first.py": OF_REQUESTS,
    "app/requests/informing.py": OF_REQUESTS,
    "app/requests/joining.py": OF_REQUESTS,
    "app/requests/move.py": OF_REQUESTS,
    "app/requests/pressing.py": OF_REQUESTS,
    "app/requests/promises.py": OF_REQUESTS,
    "app/requests/recalculation.py": OF_REQUESTS,
    "app/requests/reviewing.py": OF_REQUESTS,
    "app/requests/sampling.py": frozenset({"requests"}),
    "app/requests/service.py": OF_REQUESTS,
    "app/requests/submission.py": OF_REQUESTS,
    "app/requests/succession.py": OF_REQUESTS,
    "app/satisfaction/exclusions.py": frozenset({"measure_exclusions"}),
    "app/satisfaction/service.py": frozenset(
        {"call_back_campaigns", "call_back_draws", "call_back_strata"}
    ),
    "app/statistics/exporting.py": frozenset({"statistics_exports"}),
    "app/statistics/snapshots.py": frozenset({"figure_snapshots"}),
    "app/teams/handovers.py": OF_TEAMS,
    "app/teams/photos.py": OF_TEAMS,
    "app/teams/plaques.py": OF_TEAMS,
    "app/teams/rules.py": OF_TEAMS,
    "app/teams/service.py": OF_TEAMS,
}
# Tables that say nothing of anybody's doing, and why no entry tells of them.
TECHNICAL: dict[str, str] = {
    "audit_entries": "the audit itself",
    "audit_roots": "the audit itself",
    "calendar_recalculations": "how far a walk has come; what it moves has its entries",
    "clock_fires": "which rungs were told, a record of its own; a step that follows has its entry",
    "grid_import_places": "a preview; that it was applied or taken back has its entry",
    "grid_imports": "a preview; that it was applied or taken back has its entry",
    "idempotency_keys": "answers kept for a repeated call",
    "inbox_messages": "follow from events; when a message was read",
    "login_failures": "a counter; that it filled up has its entry",
    "outbox": "events on their way",
    "rate_counters": "counters",
    "statistics_keys": "sums, which follow from the requests",
    "statistics_cohorts": "sums, which follow from the requests",
    "statistics_spans": "sums, which follow from the requests",
    "statistics_state": "sums, which follow from the requests",
    "statistics_sums": "sums, which follow from the requests",
    "registry_collections": "which sendings of a phone were taken; what they changed has entries",
}
# (place, table) → why this one way to write into an audited table needs no entry.
EXCUSED: dict[tuple[str, str], str] = {
    ("app/people/service.py", "login_sessions"): "residents' sessions; ended ones are forgotten",
    ("app/sla/service.py", "request_clocks"): "which rung is the next to be told",
}


def undeclared(source: Source) -> set[str]:
    """The tables that a module may write to and nobody has decided about."""
    return {
        table
        for table in found(source)
        if table not in TECHNICAL
        and table not in AUDITED.get(source.place, ())
        and (source.place, table) not in EXCUSED
    }
