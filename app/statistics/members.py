"""The drill-down: exactly the requests that a figure counted, and nothing about a person."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.errors import Invalid
from app.domain.exclusions import ExclusionState
from app.domain.identity import BLIND_ROLES, Actor
from app.domain.measures import Basis, Measure
from app.requests.queries import CursorInvalid
from app.statistics import engine, periods, rollups, small_cells
from app.statistics.counting import source
from app.statistics.dimensions import PLACE_DIGITS, Dimension, values_of
from app.statistics.predicates import COUNTED, is_excluded, together
from app.statistics.questions import Keys, Query, Tally, parts_of
from app.store.session import Columns, Database, Statement

OPENED = "open_figure"


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
    """``total``: how many there are in all; None where they must not be told. ``asked``: the facets
    (``domain.facets``) of which the question named one value, so that all rows share it."""

    rows: list[Columns]
    next_cursor: str | None
    total: int | None
    asked: frozenset[str] = frozenset()

    @property
    def suppressed(self) -> bool:
        return self.total is None


_CONDITION: dict[Part, str] = {
    Part.NUM: "{num}",
    Part.DEN: "{den}",
    Part.EXCLUDED: "NOT {den}",
}
# By which column of a request a group or a filter names one value.
_FACET: dict[Dimension, str] = {
    Dimension.UNIT: "unit_code",
    Dimension.CATEGORY_LEAF: "category_code",
    Dimension.CHANNEL: "channel",
    Dimension.KIND: "kind",
}
# No word of anybody: who reads it may be blind. What else they are told: ``domain.facets``.
_COLUMNS = """requests.id, requests.number, requests.state, requests.cycle_no, requests.kind,
  requests.channel, requests.category_code, requests.unit_code, requests.grid_code,
  requests.submitted_at, requests.contact_due_at, requests.contacted_at, requests.reply_due_at,
  requests.replied_at, requests.ended_at, requests.office_s, requests.reassigned,
  requests.extensions, requests.reopens, requests.supervise_level"""


def facets_of(dimensions: Iterable[Dimension]) -> frozenset[str]:
    """The facets (``domain.facets``) of which these name one value."""
    return frozenset(_FACET[it] for it in dimensions if it in _FACET)


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
    shared = facets_of((*query.group_by[: len(group)], *query.filters.narrowed()))
    veil, total = None, None
    if rollups.covers(query):
        veil, found = await engine.look(db, query, actor=actor, now=now)
        total = _number(found.of(group, measure), part)
    elif actor.role in BLIND_ROLES:
        veil = await small_cells.veil(db, query, now=now)
    if veil is not None and veil.hides(measure, group):
        return Page([], None, None)
    asked = (
        measure,
        part,
        tuple(zip(query.group_by, (key is not None for key in group), strict=False)),
        tuple(query.filters.given()),
        query.basis,
    )
    since, until = query.since, query.until
    for dimension, key in zip(query.group_by, group, strict=False):
        begin, end = periods.of_key(dimension, key) or (since, until)
        since, until = max(since, begin), min(until, end)  # in words that an index understands
    values: dict[str, object] = {
        "since": since,
        "until": until,
        "now": now,
        "limit": limit + 1,
        **{f"key{place}": key for place, key in enumerate(group)},
        **values_of(query.filters),
    }
    if cursor is not None:
        values["after_at"], values["after_id"] = _read(cursor)
    if total is None:
        total = int((await _first(db, _statement(*asked, "count"), values))["total"])
    rows = await _rows(db, _statement(*asked, "page" if cursor is None else "more"), values)
    more = len(rows) > limit
    return Page(rows[:limit], _write(rows[limit - 1]) if more else None, total, shared)


def _number(tally: Tally, part: Part) -> int:
    """What the figure tells of itself."""
    return {
        Part.NUM: tally.num,
        Part.DEN: tally.den,
        Part.EXCLUDED: tally.cohort - tally.den,
    }[part]


async def note_opened(
    session: AsyncSession,
    query: Query,
    measure: Measure,
    part: Part,
    group: Keys,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Note in the audit, under their own name, what somebody opened who sees figures only.

    Lists can be laid over each other by the numbers of their requests: whoever does it is seen.
    """
    await audit.append(
        session,
        actor.id,
        actor=actor,
        action=OPENED,
        facts={
            "measure": measure,
            "part": part,
            "group_by": list(query.group_by[: len(group)]),
            "keys": list(group),
            "filters": query.filters.given(),
            "since": query.since.isoformat(),
            "until": query.until.isoformat(),
        },
        now=now,
    )


def _exclusion(measure: Measure) -> str:
    """Who is left out by a decision: which one, and on what ground."""
    measures = ", ".join(f"'{it}'" for it in together(measure))
    return f"""CASE WHEN {is_excluded(measure)} THEN (
  SELECT jsonb_build_object('id', dropped.id, 'ground', dropped.ground)
  FROM measure_exclusions AS dropped
  WHERE dropped.request_id = requests.id AND dropped.cycle_no = requests.cycle_no
    AND dropped.state = '{ExclusionState.APPROVED}' AND dropped.measures ?| ARRAY[{measures}]
  ORDER BY dropped.decided_at LIMIT 1) END"""  # noqa: S608 - words of the domain


async def _rows(db: Database, statement: Statement, values: dict[str, object]) -> list[Columns]:
    return list(await db.rows(statement, **{name: values[name] for name in statement.names}))


async def _first(db: Database, statement: Statement, values: dict[str, object]) -> Columns:
    return (await _rows(db, statement, values))[0]


@lru_cache(maxsize=512)
def _statement(
    measure: Measure,
    part: Part,
    keyed: tuple[tuple[Dimension, bool], ...],
    filters: tuple[str, ...],
    basis: Basis | None,
    what: str,
) -> Statement:
    """Args: ``keyed``: the groups that have a key, and whether it is known."""
    counted = COUNTED[measure]
    [of_measure] = parts_of((measure,), basis)
    condition = _CONDITION[part].format(num=counted.num, den=counted.den)
    keys = "".join(_key(place, *it) for place, it in enumerate(keyed))
    group_by = tuple(dimension for dimension, _ in keyed)
    rows = f"{source(of_measure, group_by, filters)} AND {condition}{keys}"
    if what == "count":
        return Statement(f"SELECT count(*) AS total {rows}")
    after = " AND (requests.submitted_at, requests.id) < (:after_at, :after_id)"
    half = f"CASE WHEN {counted.half} THEN true ELSE false END" if counted.half else "false"
    return Statement(f"""
SELECT {_COLUMNS}, {half} AS partly, {_exclusion(measure)} AS exclusion
{rows}{after if what == "more" else ""}
ORDER BY requests.submitted_at DESC, requests.id DESC LIMIT :limit
""")


def _key(place: int, dimension: Dimension, known: bool) -> str:
    """In words that an index understands."""
    if not known:
        return f" AND key.k{place} IS NULL"
    within = ""
    if dimension in PLACE_DIGITS:  # ":" is the byte after "9"; the column collates as bytes
        key = f":key{place}::text"
        within = f" AND requests.grid_code >= {key} AND requests.grid_code < {key} || ':'"
    return f" AND key.k{place} = :key{place}::text{within}"


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
