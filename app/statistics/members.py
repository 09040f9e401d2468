"""The drill-down: exactly the requests that a figure counted, and nothing about a person."""

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from app.domain.errors import Invalid
from app.domain.identity import BLIND_ROLES, Actor
from app.domain.measures import Basis, Measure
from app.requests.queries import CursorInvalid
from app.statistics import small_cells
from app.statistics.dimensions import Dimension, values_of
from app.statistics.engine import Keys, Query, parts_of, source
from app.statistics.predicates import COUNTED
from app.store.session import Columns, Database, Statement


class Part(StrEnum):
    NUM = "num"
    DEN = "den"
    EXCLUDED = "excluded"


class NothingToOpen(Invalid):
    """该指标由其他指标或人口数合成，没有对应的诉求明细。"""

    code = "measure_not_countable"


class KeysMissing(Invalid):
    """请为每个分组方式填写对应的值（key），或都不填写以查看合计。"""

    code = "group_keys_missing"


@dataclass(frozen=True, slots=True)
class Page:
    """``total``: how many there are in all; None where they must not be told."""

    rows: list[Columns]
    next_cursor: str | None
    total: int | None

    @property
    def suppressed(self) -> bool:
        return self.total is None


_CONDITION: dict[Part, str] = {
    Part.NUM: "{num}",
    Part.DEN: "{den}",
    Part.EXCLUDED: "NOT {den}",
}
# No word of anybody, no place finer than the figure itself: who reads it may be blind.
_COLUMNS = """requests.id, requests.number, requests.state, requests.cycle_no, requests.kind,
  requests.channel, requests.category_code, requests.unit_code, requests.grid_code,
  requests.submitted_at, requests.contact_due_at, requests.contacted_at, requests.reply_due_at,
  requests.replied_at, requests.ended_at, requests.office_s, requests.reassigned,
  requests.extensions, requests.reopens, requests.supervise_level"""


async def members(
    db: Database,
    query: Query,
    measure: Measure,
    part: Part,
    group: Keys,
    *,
    actor: Actor,
    now: datetime,
    cursor: str | None = None,
    limit: int = 20,
) -> Page:
    """Return a page of the requests behind one cell, newest first.

    Args:
        group: the keys of the cell: as many of ``query.group_by`` as it has, () for the total.

    Raises:
        NothingToOpen, KeysMissing, CursorInvalid, StatisticsTooFine.
    """
    if measure not in COUNTED or (measure is Measure.PER_1000 and part is Part.DEN):
        raise NothingToOpen
    if len(group) > len(query.group_by):
        raise KeysMissing
    query = replace(query, measures=(measure,))
    if actor.role in BLIND_ROLES:
        veil = await small_cells.veil(db, query, now=now)
        if veil.hides(measure, dict(zip(query.group_by, group, strict=False))):
            return Page([], None, None)
    asked = (measure, part, query.group_by[: len(group)], tuple(query.filters.given()), query.basis)
    values: dict[str, object] = {
        "since": query.since,
        "until": query.until,
        "now": now,
        "limit": limit + 1,
        **{f"key{place}": key for place, key in enumerate(group)},
        **values_of(query.filters),
    }
    if cursor is not None:
        values["after_at"], values["after_id"] = _read(cursor)
    total = await _first(db, _statement(*asked, "count"), values)
    rows = await _rows(db, _statement(*asked, "page" if cursor is None else "more"), values)
    more = len(rows) > limit
    return Page(rows[:limit], _write(rows[limit - 1]) if more else None, int(total["total"]))


async def _rows(db: Database, statement: Statement, values: dict[str, object]) -> list[Columns]:
    return list(await db.rows(statement, **{name: values[name] for name in statement.names}))


async def _first(db: Database, statement: Statement, values: dict[str, object]) -> Columns:
    return (await _rows(db, statement, values))[0]


@lru_cache(maxsize=512)
def _statement(
    measure: Measure,
    part: Part,
    group_by: tuple[Dimension, ...],
    filters: tuple[str, ...],
    basis: Basis | None,
    what: str,
) -> Statement:
    counted = COUNTED[measure]
    [of_measure] = parts_of((measure,), basis)
    condition = _CONDITION[part].format(num=counted.num, den=counted.den)
    keys = "".join(
        f" AND key.k{place} IS NOT DISTINCT FROM :key{place}::text"
        for place in range(len(group_by))
    )
    rows = f"{source(of_measure, group_by, filters)} AND {condition}{keys}"
    if what == "count":
        return Statement(f"SELECT count(*) AS total {rows}")
    after = " AND (requests.submitted_at, requests.id) < (:after_at, :after_id)"
    half = f"CASE WHEN {counted.half} THEN true ELSE false END" if counted.half else "false"
    return Statement(f"""
SELECT {_COLUMNS}, {half} AS partly {rows}{after if what == "more" else ""}
ORDER BY requests.submitted_at DESC, requests.id DESC LIMIT :limit
""")


def _write(row: Columns) -> str:
    at: datetime = row["submitted_at"]
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{row['id'].hex}".encode()).decode()


def _read(cursor: str) -> tuple[datetime, UUID]:
    try:
        told = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
        at, _, last = told.partition("|")
        when = datetime.fromisoformat(at)
        if when.tzinfo is None:
            raise CursorInvalid
        return when.astimezone(UTC), UUID(hex=last)
    except (binascii.Error, ValueError, OverflowError):
        raise CursorInvalid from None
