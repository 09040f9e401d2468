"""How far the collecting is, and how fresh: by place, counted by the database in one statement.

Expected is what the registers know of (from an imported list, or collected on the spot); collected
what grid staff have confirmed on the spot at least once; stale what they confirmed too long ago.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.identity import Actor
from app.domain.registry import Kind
from app.registry.kinds import SPECS
from app.registry.queries import RecordNotFound, root_of
from app.store.session import Database, Statement

# Levels of the tree of places by the length of their codes.
DIGITS_OF_LEVEL: dict[str, int] = {"town": 9, "community": 12, "grid": 15, "micro": 17}
_BELOW: dict[int, str] = {0: "town", 9: "community", 12: "grid", 15: "grid", 17: "micro"}
COUNTED = (Kind.HOUSEHOLD, Kind.PERSON, Kind.HOUSE)

# First by whole codes, in the order of the index; their beginnings are then taken of few.
_ONE = """
  SELECT left(grid_code, :digits) AS code, '{kind}' AS kind, sum(expected)::bigint AS expected,
    sum(collected)::bigint AS collected, sum(stale)::bigint AS stale
  FROM (
    SELECT grid_code, count(*) AS expected, count(collected_at) AS collected,
      count(*) FILTER (WHERE collected_at < :before) AS stale
    FROM {table} WHERE active AND grid_code >= :root AND grid_code < :root_end GROUP BY grid_code
  ) AS each GROUP BY 1
"""
_COUNTS = " UNION ALL ".join(_ONE.format(kind=kind, table=SPECS[kind].table) for kind in COUNTED)
# Not joined: right after a large import the planner knows nothing of the tables, and would count
# everything anew for each place.
_PROGRESS = Statement(f"""
SELECT code, name, level, NULL AS kind, 0::bigint AS expected, 0::bigint AS collected,
  0::bigint AS stale
FROM grids WHERE active AND length(code) = :digits AND code >= :root AND code < :root_end
UNION ALL
SELECT code, NULL, NULL, kind, expected, collected, stale FROM ({_COUNTS}) AS counted
""")  # noqa: S608 - our own tables


@dataclass(frozen=True, slots=True)
class Count:
    expected: int = 0
    collected: int = 0
    stale: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.expected + other.expected,
            self.collected + other.collected,
            self.stale + other.stale,
        )


@dataclass(slots=True)
class PlaceProgress:
    code: str
    name: str
    level: str
    counts: dict[Kind, Count]


async def of_places(
    db: Database,
    *,
    actor: Actor,
    grid_code: str | None,
    level: str | None,
    stale_before: datetime,
) -> Sequence[PlaceProgress]:
    """The places of ``level`` at ``grid_code`` or below it, in order of their codes.

    Args:
        grid_code: None: all that the actor works in.
        level: None: the level right below the place; of a grid, itself.

    Raises:
        RecordNotFound: the place lies outside of where the actor works.
    """
    root = root_of(actor)
    if grid_code is not None:
        if not grid_code.startswith(root):
            raise RecordNotFound
        root = grid_code
    digits = DIGITS_OF_LEVEL[level or _BELOW.get(len(root), "grid")]
    rows = await db.rows(
        _PROGRESS, digits=digits, root=root, root_end=root + ":", before=stale_before
    )
    places = {
        row["code"]: PlaceProgress(
            row["code"], row["name"], row["level"], dict.fromkeys(COUNTED, Count())
        )
        for row in rows
        if row["kind"] is None
    }
    for row in rows:
        if row["kind"] is not None and row["code"] in places:
            count = Count(row["expected"], row["collected"], row["stale"])
            places[row["code"]].counts[Kind(row["kind"])] = count
    return [places[code] for code in sorted(places)]
