"""A page of anomalies reads what it shows, and not what the tables hold."""

import json
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.domain.anomalies import Anomaly, Thresholds
from app.requests import crowds
from app.satisfaction import anomalies
from app.store.session import Database
from tests.city import CHINA, OTHER_UNIT, UNIT
from tests.satisfaction.copying import copy_ratings, copy_requests, made


class Explained(Database):
    """Counts the rows that its reads take from tables and indexes."""

    taken = 0

    async def rows(self, statement, **values):
        [row] = await self._fetch(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.sql}",
            statement.arguments(values),
        )
        nodes = [json.loads(row[0])[0]["Plan"]]
        for node in nodes:
            nodes += node.get("Plans", ())
            if "Relation Name" in node:
                kept = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                self.taken += (kept + node.get("Rows Removed by Index Recheck", 0)) * node[
                    "Actual Loops"
                ]
        return await super().rows(statement, **values)


# Of an answered request: what its copies have too, which alone decides what they are.
_HAD = tuple(
    text(f"""
INSERT INTO {table} SELECT (jsonb_populate_record(one, {changed})).*
FROM {table} AS one, jsonb_to_recordset(CAST(:rows AS jsonb)) AS copy
  (id uuid, at timestamptz, contacted boolean)
WHERE one.request_id = :id {condition}
""")
    for table, changed, condition in (
        ("request_contacts",
         "jsonb_build_object('id', gen_random_uuid(), 'request_id', copy.id,"
         " 'at', copy.at - interval '1 h')", ""),
        ("request_replies",
         "jsonb_build_object('request_id', copy.id, 'sent_at', copy.at,"
         " 'took', CASE WHEN copy.contacted THEN '5 h' ELSE '5 min' END)", ""),
        ("request_events",
         "jsonb_build_object('request_id', copy.id, 'at', copy.at, 'action', CASE"
         " WHEN copy.contacted THEN 'rate' ELSE 'withdraw' END)", "AND action = 'sign'"),
        ("request_events",
         "jsonb_build_object('request_id', copy.id, 'at', copy.at, 'action', CASE"
         " WHEN copy.contacted THEN 'archive' ELSE 'correct' END)", "AND action = 'reply'"),
    )
)  # fmt: skip
_TABLES = ("requests", "request_ratings", "request_contacts", "request_replies", "request_events")


@pytest.mark.parametrize(("year", "known"), [(2016, "VACUUM ANALYZE"), (2017, "VACUUM")])
async def test_no_more_rows_are_read_when_there_are_many_times_more(
    settings, db, answered, clock, year, known
):
    """Also when the database does not know yet how many have come."""
    clock.set("2026-04-20T08:00:00")
    template = UUID((await answered())["id"])
    since, until = (datetime(year, month, 1, tzinfo=CHINA) for month in (1, 4))

    def ordinary(count, every):
        """Of one unit never within a minute, of one account never twice."""
        return [
            made(since + every * n, uuid4(), (UNIT, OTHER_UNIT)[n % 2], (5, 5, 4)[n % 3])
            for n in range(count)
        ]

    def crowded(begin, count, every):
        who = uuid4()
        return [
            made(begin + every * n + timedelta(seconds=7 * k), UUID(int=who.int ^ n), UNIT, 5)
            for n in range(count)
            for k in range(6)
        ]

    def wrong(count, every):
        """Denied, answered soon, withdrawn and corrected."""
        return [
            made(since + every * n, uuid4(), (UNIT, OTHER_UNIT)[n % 2], 4, contacted=False)
            for n in range(count)
        ]

    async def add(rows):
        async with db.transaction() as session:
            await copy_requests(session, template, rows)
            await copy_ratings(session, rows)
            for had in _HAD:
                copies = json.dumps(rows, default=str)
                await session.execute(had, {"rows": copies, "id": template})
            await crowds.count_again(session, since=since, until=until)
        async with db.engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in _TABLES:
                await alone.execute(text(f"{known} {table}"))

    explained = Explained(settings.database_url, settings.database)
    await explained.open()

    async def cost(**asked):
        """Rows that are read for a page of each kind."""
        taken = {}
        for kind in Anomaly:
            explained.taken = 0
            found, _ = await anomalies.page(
                explained, since=since, until=until, thresholds=Thresholds(), kind=kind,
                limit=5, cursor=None, **asked,
            )  # fmt: skip
            taken[kind] = len(found), explained.taken
        return taken

    try:
        some = timedelta(hours=61)
        await add(
            [
                *crowded(since + timedelta(days=45), 12, timedelta(days=4)),
                *wrong(30, some),
                *ordinary(1_000, timedelta(minutes=127)),
            ]
        )
        few, few_of_unit = await cost(), await cost(unit_code=UNIT)
        some = timedelta(minutes=379)
        older = crowded(since, 80, timedelta(hours=5, minutes=3))
        await add([*older, *wrong(300, some), *ordinary(9_000, timedelta(minutes=14, seconds=7))])
        many, many_of_unit = await cost(), await cost(unit_code=UNIT)
    finally:
        await explained.close()
    for before, after in ((few, many), (few_of_unit, many_of_unit)):
        for kind in Anomaly:
            assert before[kind][0] == after[kind][0] == 5, (kind, before, after)
            # A page is looked for in other steps where there is more; all there is are thousands.
            assert 5 <= after[kind][1] <= before[kind][1] + 60 < 300, (kind, before, after)
