"""A database that notes every row written, so that a test sees what the audit was not told of.

Each transaction that changed something must have added an entry to the chain of its subject. What
needs none is ``writes.TECHNICAL``, whole tables, and ``PARTS``, some changes of the others.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.audit_chain import chain_of
from app.tables import metadata
from tests.audit.writes import OF_REQUESTS, TECHNICAL

Line = Mapping[str, Any]

_INSTALL = """
CREATE TABLE watched (
  id bigint GENERATED ALWAYS AS IDENTITY, xid text, name text, op text, changed text[], line jsonb
);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before jsonb; after jsonb;
BEGIN
  IF TG_OP <> 'INSERT' THEN before := to_jsonb(OLD); END IF;
  IF TG_OP <> 'DELETE' THEN after := to_jsonb(NEW); END IF;
  INSERT INTO watched (xid, name, op, changed, line)
  SELECT pg_current_xact_id()::text, TG_TABLE_NAME, TG_OP,
    ARRAY(SELECT key FROM jsonb_each(coalesce(after, before)) AS member
          WHERE member.value IS DISTINCT FROM before -> member.key),
    coalesce(after, before);
  RETURN NULL;
END
$$;
"""
_WATCHED = (
    "SELECT xid, name, op, changed, line::text AS line FROM watched WHERE id > $1 ORDER BY id"
)


def _of_record(line: Line) -> UUID:
    """What was seen on the spot is told of each record, what came with a file of the file."""
    return UUID(line["id"]) if line["source"] == "collected" else chain_of("registry")


# The chain in which a change of a row must be told.
CHAINS: dict[str, Callable[[Line], UUID]] = {
    **dict.fromkeys(OF_REQUESTS, lambda line: UUID(line["request_id"])),
    "requests": lambda line: UUID(line["id"]),
    "call_back_campaigns": lambda line: UUID(line["id"]),
    "call_back_draws": lambda line: UUID(line["campaign_id"]),
    "call_back_strata": lambda line: UUID(line["campaign_id"]),
    "measure_exclusions": lambda line: UUID(line["request_id"]),
    "residents": lambda line: UUID(line["id"]),
    "staff": lambda line: UUID(line["id"]),
    "login_sessions": lambda line: UUID(line["account_id"]),
    "grids": lambda _: chain_of("grids"),
    **dict.fromkeys(
        (
            "grid_counties",
            "grid_level_names",
            "grid_lineage",
            "grid_load_rules",
            "grid_versions",
            "legacy_unit_grids",
            "legacy_units",
        ),
        lambda _: chain_of("grids"),
    ),
    "units": lambda _: chain_of("units"),
    "sla_policies": lambda _: chain_of("sla_policies"),
    "categories": lambda _: chain_of("categories"),
    "routing_rules": lambda _: chain_of("routing_rules"),
    "routing_rule_sets": lambda _: chain_of("routing_rules"),
    "routing_history": lambda _: chain_of("routing_history"),
    "routing_models": lambda _: chain_of("routing_models"),
    "calendars": lambda _: chain_of("calendar"),
    "figure_snapshots": lambda _: chain_of("snapshots"),
    "statistics_exports": lambda line: UUID(line["id"]),
    "calendar_days": lambda _: chain_of("calendar"),
    **dict.fromkeys(
        (
            "registry_plots",
            "registry_buildings",
            "registry_houses",
            "registry_households",
            "registry_persons",
        ),
        _of_record,
    ),
    **dict.fromkeys(
        ("plaques", "team_handovers", "team_members", "team_photos", "teams"),
        lambda line: chain_of(f"team:{line['grid_code']}"),
    ),
    "team_rules": lambda _: chain_of("team_rules"),
    "registry_residences": lambda line: UUID(line["person_id"] or line["household_id"]),
}
# Table → changes of a row (or only of these columns) that follow from something told elsewhere.
_PART_COLUMNS: dict[str, frozenset[str]] = {
    "request_clocks": frozenset({"next_level", "next_fire_at"}),  # a rung was told
    # Counted by a new calendar, whose publication is told, and no due time moved.
    "requests": frozenset({"calendar_version", "provisional"}),
    "login_sessions": frozenset({"last_seen_at", "expires_at"}),  # seen; a resident's slides
    # Taken up, and how far it is; that its file's time is over was said when it was made.
    "statistics_exports": frozenset({"state", "attempt", "lease_until", "done_rows", "total_rows"}),
}


@dataclass(frozen=True)
class Change:
    """A row that was written, and the transaction that did it."""

    xid: str
    name: str
    op: str
    changed: frozenset[str]
    line: Line

    @property
    def needs_entry(self) -> bool:
        if self.name in TECHNICAL or not self.changed:
            return False
        if self.op == "UPDATE" and self.changed <= _PART_COLUMNS.get(self.name, frozenset()):
            return False
        if self.name == "login_sessions":  # a resident's: see people.service.login_resident
            return self.line["kind"] == "staff" and self.op != "DELETE"
        return True


class Watch:
    """What was written since the last ``changes``."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @classmethod
    async def install(cls, connection: asyncpg.Connection) -> "Watch":
        await connection.execute(_INSTALL)
        for name in metadata.tables:
            await connection.execute(
                f"CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON {name}"
                " FOR EACH ROW EXECUTE FUNCTION watch()"
            )
        return cls(connection)

    async def changes(self, after: int = 0) -> list[Change]:
        return [
            Change(row["xid"], row["name"], row["op"], frozenset(row["changed"]),
                   json.loads(row["line"]))
            for row in await self._connection.fetch(_WATCHED, after)
        ]  # fmt: skip

    async def last(self) -> int:
        return await self._connection.fetchval("SELECT coalesce(max(id), 0) FROM watched")


def _chain_of(change: Change) -> UUID | None:
    chain = CHAINS.get(change.name)
    return None if chain is None else chain(change.line)


def untold(changes: list[Change]) -> list[str]:
    """The changes that the audit was not told of, each once."""
    told: dict[str, set[UUID]] = defaultdict(set)
    for change in changes:
        if change.name == "audit_entries":
            told[change.xid].add(UUID(change.line["chain"]))
    silent = [
        f"{change.op} {change.name} ({', '.join(sorted(change.changed))})"
        for change in changes
        if change.needs_entry and _chain_of(change) not in told[change.xid]
    ]
    return sorted(set(silent))
