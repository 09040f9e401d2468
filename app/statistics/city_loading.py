"""Loading a made-up year into the database, all or nothing, by COPY.

The days are made by processes of their own while PostgreSQL takes in those before. Meanwhile
nobody else can write requests: indexes that are found by no constraint, and foreign keys, are
dropped first and made again over all rows at the end, which is several times faster than keeping
them for each row; both by their own definitions, in the same transaction.

The audit: no entry tells of each made-up step, because an entry of the past cannot be written, and
should not. One entry of the chain ``city_year`` says which year was made up and holds a digest of
all its steps (``digests``); ``lianxin audit verify`` reckons it again. So made-up rows that are
altered, added or taken out are found, and a real step cannot be passed off as a made-up one.
"""

import gc
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime
from typing import Any

import asyncpg
import numpy
import shapely
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateIndex

from app.audit import service as audit
from app.domain import routing
from app.domain.audit_chain import chain_of
from app.domain.errors import Conflict, Invalid
from app.domain.identity import SYSTEM
from app.reference.queries import Reference
from app.requests import crowds
from app.statistics import city_lives, city_year, rollup_making
from app.statistics.city_deadlines import Deadlines
from app.statistics.city_rows import COLUMNS, JOB, Rows
from app.statistics.city_year import Day, Ground, Matter, Place, Route, Year
from app.store.base import Base

CHAIN = chain_of("city_year")
_AT_ONCE = 2_000  # requests of one batch, about
_SMALL = 20_000  # made in this process: others would take longer to start
_PATIENCE_S = 3_600.0

# Made-up steps, which have no entry of their own, and all others.
IS_MADE_UP = f"""(substring(request_id::text FROM 15 FOR 1) = '8'
  AND (substring(actor_id::text FROM 15 FOR 1) = '8' OR coalesce(facts->>'job', '') = '{JOB}'))"""
# Of each made-up year, by the time that is in the ids: (year, steps, digest). OFFSET 0: several
# processes take the hashes then, before the steps are put in order.
DIGESTS = f"""
SELECT year, sum(steps)::bigint AS steps,
  encode(sha256(string_agg(digest, '' ORDER BY day)), 'hex') AS digest
FROM (
  SELECT day, extract(year FROM day)::int AS year, count(*) AS steps,
    sha256(string_agg(step, '' ORDER BY request_id, version)) AS digest
  FROM (
    SELECT request_id, version, sha256(convert_to(concat_ws('|', request_id, version,
        extract(epoch FROM at)::bigint, action, state, actor_id, actor_role, unit_code, facts),
        'UTF8')) AS step,
      (to_timestamp(('x' || substring(request_id::text FOR 8)
        || substring(request_id::text FROM 10 FOR 4))::bit(48)::bigint / 1000)
        AT TIME ZONE 'Asia/Shanghai')::date AS day
    FROM request_events WHERE {IS_MADE_UP} OFFSET 0
  ) AS steps GROUP BY day
) AS days GROUP BY year
"""  # noqa: S608 - our own words


class NoCity(Invalid):
    """还没有可用的类别、单位和网格，请先初始化城市数据。"""

    code = "city_missing"


class YearMade(Conflict):
    """这一年已经生成过。"""

    code = "year_made"


_PLACES = text("""
SELECT code, boundary FROM grids WHERE level = 'grid' AND active AND boundary IS NOT NULL
ORDER BY code
""")


async def ground_of(session: AsyncSession, reference: Reference, requests: int) -> Ground:
    """What the year happens in: the city as this transaction sees it. Raises: NoCity."""
    parents = {category.parent_code for category in reference.categories.values()}
    matters = [
        Matter(leaf.code, leaf.name, reference.policy_for(leaf.code), leaf.grid_matter)
        for leaf in reference.categories.values()
        if leaf.active and leaf.parent_code and leaf.code not in parents
    ]
    units = tuple(unit.code for unit in reference.units.values() if unit.active)
    rows = (await session.execute(_PLACES)).all()
    if not matters or not units or not rows:
        raise NoCity
    matters.append(Matter(None, "", reference.policy_for(None)))
    named = sorted({rule.grid_code for rule in reference.rules if rule.grid_code}, key=len)
    regions: dict[tuple[str, ...], int] = {}
    shapes = shapely.from_wkb(numpy.array([bytes(row.boundary) for row in rows], dtype=object))
    spots = shapely.point_on_surface(shapes)
    room = shapely.distance(spots, shapely.boundary(shapes))
    places = tuple(
        Place(row.code, float(spot.y), float(spot.x), float(radius), regions.setdefault(
            tuple(code for code in named if row.code.startswith(code)), len(regions)))
        for row, spot, radius in zip(rows, spots, room, strict=True)
    )  # fmt: skip
    return Ground(
        calendar=reference.calendar,
        matters=tuple(matters),
        places=places,
        routes={
            (position, region): _route(reference, matter, path)
            for position, matter in enumerate(matters)
            for path, region in regions.items()
        },
        units=units,
        numbers={code: position for position, code in enumerate(units)},
        unit_of_town={
            unit.grid_code: unit.code
            for unit in reference.units.values()
            if unit.active and unit.grid_code
        },
        residents=max(requests * 3 // 7, 1),
    )


def _route(reference: Reference, matter: Matter, grid_path: Sequence[str]) -> Route:
    choice = routing.choose_unit(
        reference.rules_for(matter.code),
        category_path=reference.category_path(matter.code) if matter.code else (),
        grid_path=grid_path,
        default_unit_code=reference.default_unit_code(matter.code),
    )
    return Route(choice.unit_code, choice.rule_id, choice.reason.code, choice.reason.text)


# --- making --------------------------------------------------------------------------------------

_made: tuple[Ground, Deadlines, Year]


def _begin(ground: Ground, year: Year) -> None:
    """What a process needs for all its days."""
    global _made  # a process of a pool has nowhere else to keep it
    _made = ground, Deadlines(ground.calendar, year.year), year


def _begin_alone(ground: Ground, year: Year) -> None:
    """In a process of its own, which makes millions of lines and no rings of things."""
    gc.disable()
    _begin(ground, year)


def _make(days: Sequence[Day]) -> tuple[int, list[tuple[str, bytes]]]:
    """So many requests, and their rows as COPY takes them."""
    ground, deadlines, year = _made
    rows = Rows()
    for day in days:
        city_lives.tell(ground, deadlines, city_year.draw(ground, year, day), rows)
    return sum(day.received for day in days), list(rows.taken())


def _batches(ground: Ground, year: Year, processes: int) -> Iterator[tuple[int, list[Any]]]:
    per_day = max(year.received // len(year.days), 1)
    size = max(_AT_ONCE // per_day, 1)
    groups = [year.days[begin : begin + size] for begin in range(0, len(year.days), size)]
    if year.received <= _SMALL or processes < 1:
        _begin(ground, year)
        yield from map(_make, groups)
        return
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        initializer=_begin_alone,
        initargs=(ground, year),
    )
    with pool:
        waiting = [pool.submit(_make, group) for group in groups[: 3 * processes]]
        for group in [*groups[3 * processes :], *[None] * len(waiting)]:
            yield waiting.pop(0).result()
            if group is not None:  # only so many are made ahead: they lie in memory
                waiting.append(pool.submit(_make, group))


# --- loading -------------------------------------------------------------------------------------

_ANY_TIME = text("SET LOCAL statement_timeout = 0")
_IS_MADE = text("""
SELECT EXISTS (SELECT FROM requests WHERE id >= CAST(:first AS uuid) AND id < CAST(:end AS uuid)
  AND substring(id::text FROM 15 FOR 1) = '8')
""")
_INDEXES = """
SELECT indexname, indexdef AS again, format('DROP INDEX %I', indexname) AS off FROM pg_indexes
WHERE schemaname = current_schema() AND tablename = ANY($1::text[]) AND NOT EXISTS (
  SELECT FROM pg_constraint WHERE conname = indexname AND connamespace = 'public'::regnamespace)
ORDER BY indexname
"""
_KEYS = """
SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
    pg_get_constraintdef(oid)) AS again,
  format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS off
FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = ANY($1::text[])
ORDER BY conname
"""


async def load(
    session: AsyncSession,
    ground: Ground,
    year: Year,
    *,
    now: datetime,
    processes: int = 2,
    progress: Callable[[int], object] = lambda _requests: None,
) -> str:
    """Make the year and load it in the caller's transaction; the digest that the audit keeps.

    Args:
        processes: that make rows; 0: this one does it, between the loading.
        progress: told how many requests more are loaded.

    Raises: YearMade.
    """
    await session.execute(_ANY_TIME)
    first, end = (f"{int(datetime(y, 1, 1, tzinfo=ground.calendar.zone).timestamp() * 1_000):012x}"
                  for y in (year.year, year.year + 1))  # fmt: skip
    span = {"first": first.ljust(32, "0"), "end": end.ljust(32, "0")}
    if await session.scalar(_IS_MADE, span):
        raise YearMade(year=year.year)
    raw = await (await session.connection()).get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, asyncpg.Connection)  # noqa: S101 - the one driver of this house
    tables = list(COLUMNS)
    keys, indexes = await driver.fetch(_KEYS, tables), await driver.fetch(_INDEXES, tables)
    for row in (*keys, *indexes):
        await driver.execute(row["off"], timeout=_PATIENCE_S)
    for requests, parts in _batches(ground, year, processes):
        for table, lines in parts:
            await driver.copy_to_table(
                table, source=_pieces(lines), columns=COLUMNS[table], timeout=_PATIENCE_S
            )
        progress(requests)
    begin, over = (datetime(y, 1, 1, tzinfo=ground.calendar.zone)
                   for y in (year.year, year.year + 1))  # fmt: skip
    await crowds.count_again(session, since=begin, until=over + city_year.OVER_AFTER)
    await driver.execute("SET LOCAL maintenance_work_mem = '256MB'")
    ours = _index_statements(tables)
    for row in indexes:
        await driver.execute(ours.get(row["indexname"], row["again"]), timeout=_PATIENCE_S)
    for row in keys:
        await driver.execute(row["again"], timeout=_PATIENCE_S)
    [made] = [
        row for row in await driver.fetch(DIGESTS, timeout=_PATIENCE_S) if row["year"] == year.year
    ]
    digest = str(made["digest"])
    facts = {"year": year.year, "seed": year.seed, "requests": year.received,
             "steps": made["steps"], "digest": digest}  # fmt: skip
    await rollup_making.forget(session, date(year.year, 1, 1), date(year.year, 12, 31))
    await audit.append(session, CHAIN, actor=SYSTEM, action=JOB, facts=facts, now=now)
    return digest


def _index_statements(tables: Sequence[str]) -> dict[str, str]:
    """How the models make their indexes: PostgreSQL words a condition otherwise each time."""
    return {
        str(index.name): str(CreateIndex(index).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
        for table in tables
        for index in Base.metadata.tables[table].indexes
    }


async def _pieces(lines: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(lines), 1 << 18):
        yield lines[begin : begin + (1 << 18)]
