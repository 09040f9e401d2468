"""Many requests that are already there: what lists and reads have to cope with.

Spread over two years, over all grids, units (some busy, some not), categories and residents. Of the
residents who log in here each has some; all others have some too, far fewer. Most are closed, with
reply and rating; the newest are still open, as in a living city.
"""

import asyncpg

from bench.people import People

CLOSED_SHARE = 0.97
_YEARS_SPAN = "730 days"
_OWN_EACH = 30  # requests of every resident who logs in

_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = 'requests' AND indexname LIKE 'ix\\_%'
"""

# Every value follows from the row's number: the same rows on every machine.
_REQUESTS = f"""
INSERT INTO requests
  (id, number, version, state, kind, title, text, category_code, channel, confidential, public,
   resident_id, submitted_by, grid_code, grid_certain, unit_code, routing, latitude, longitude,
   location, personal, policy_code, policy_version, calendar_version, submitted_at, assigned_at,
   contact_due_at, reply_due_at, provisional, contacted_at, contact_attempts, replied_at,
   rate_until, ended_at, satisfaction, solved)
SELECT made.id, to_char(at, 'YYYYMMDD') || lpad(n::text, 8, '0'),
  CASE WHEN closed THEN 6 ELSE 2 END, CASE WHEN closed THEN 'closed' ELSE 'assigned' END,
  (ARRAY['complaint','help','consult','suggestion'])[1 + h % 4], '请尽快处理',
  left(repeat($1, 3), 30 + h % 170), categories[1 + h / 7 % array_length(categories, 1)],
  'mini_program', h % 50 = 0, h % 3 = 0, person, person,
  grids[1 + h / 11 % array_length(grids, 1)], true,
  -- the product of two even numbers: the first units get most of the work
  units[1 + (h / 13 % 1000) * (h / 17 % 1000) * array_length(units, 1) / 1000000],
  '{{"rule": 1, "reasons": [{{"code": "grid_by_point", "text": "按所选位置确定网格"}},'
  ' {{"code": "rule_matched", "text": "匹配派单规则 1"}}]}}'::jsonb,
  36.005 + h % 49000 / 1e5, 119.61 + h / 19 % 63000 / 1e5,
  '{{"latitude": 36.2, "longitude": 119.9, "coord_sys": "gcj02", "accuracy_m": 30}}'::jsonb, NULL,
  'default', 1, 1, at, at, at + interval '6 hours', at + interval '7 days', false,
  CASE WHEN closed THEN at + interval '2 hours' END, CASE WHEN closed THEN 1 ELSE 0 END,
  CASE WHEN closed THEN at + interval '3 days' END,
  CASE WHEN closed THEN at + interval '10 days' END,
  CASE WHEN closed THEN at + interval '4 days' END, CASE WHEN closed THEN 3 + h % 3 END,
  CASE WHEN closed THEN 'solved' END
FROM (
  SELECT n, h, n < $2 * $4::float AS closed,
    now() - interval '{_YEARS_SPAN}' * (($2 - n)::float / $2) AS at,
    CASE WHEN n % ($2 / ({_OWN_EACH} * array_length($3::uuid[], 1)) + 1) = 0
         THEN ($3::uuid[])[1 + h % array_length($3::uuid[], 1)]
         ELSE md5('resident ' || h % ($2 / 4 + 1))::uuid END AS person
  FROM generate_series(1, $2::int) AS n,
    LATERAL (SELECT hashint4(n) & 2147483647 AS h) AS hashed
) AS spread,
LATERAL (SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
  || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid AS id) AS made,
(SELECT array_agg(code ORDER BY code) AS grids FROM grids WHERE level = 'grid') AS g,
(SELECT array_agg(code ORDER BY code) AS units FROM units) AS u,
(SELECT array_agg(code ORDER BY code) AS categories FROM categories WHERE code LIKE '%.%') AS c
"""
_REPLIES = """
INSERT INTO request_replies
  (request_id, cycle_no, public_reply, factual, solved, result_type, by, at, sent_at)
SELECT id, 1, '您好，您反映的问题已经安排人员到现场处理完毕，感谢您的监督。', true,
  'solved', 'solved', md5('handler')::uuid, replied_at, replied_at
FROM requests WHERE state = 'closed'
"""
_RATINGS = """
INSERT INTO request_ratings
  (request_id, cycle_no, resident_id, contacted, solved, satisfaction, reasons, text, at,
   unit_code, of_account, of_unit)
SELECT id, 1, resident_id, true, 'solved', satisfaction, '[]', '处理得很及时', ended_at,
  unit_code, 1, CASE WHEN satisfaction = 5 THEN 1 ELSE 0 END
FROM requests WHERE state = 'closed'
"""
_TEXT = (
    "反映小区门口的垃圾桶已经好几天没有人清运，天气热了味道很大，影响周围居民出行，希望尽快安排。"
)


async def fill(
    admin_url: str, rows: int, people: People, *, closed_share: float = CLOSED_SHARE
) -> None:
    """Load so many requests into an empty database. ``admin_url``: a superuser's."""
    connection = await asyncpg.connect(admin_url)
    try:
        # Rows are consistent by construction: their foreign keys need not be looked up one by one.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("SET maintenance_work_mem = '512MB'")
        indexes = await connection.fetch(_INDEXES)
        for index in indexes:
            await connection.execute(f'DROP INDEX "{index["indexname"]}"')
        residents = [resident.id for resident in people.residents]
        await connection.execute(_REQUESTS, _TEXT, rows, residents, closed_share, timeout=900)
        for index in indexes:
            await connection.execute(index["indexdef"], timeout=900)
        await connection.execute(_REPLIES, timeout=900)
        await connection.execute(_RATINGS, timeout=900)
        for table in ("requests", "request_replies", "request_ratings"):
            await connection.execute(f"VACUUM (ANALYZE, FREEZE) {table}", timeout=900)
    finally:
        await connection.close()


async def sample(admin_url: str, people: People, count: int) -> list[tuple[str, str | None, str]]:
    """(id, unit, resident) of requests everywhere in the table, those of our residents too."""
    connection = await asyncpg.connect(admin_url)
    try:
        residents = [resident.id for resident in people.residents]
        rows = await connection.fetch(
            """
            (SELECT id, unit_code, resident_id FROM requests
             WHERE resident_id = ANY($2::uuid[]) ORDER BY md5(id::text) LIMIT $1 / 3)
            UNION ALL
            (SELECT id, unit_code, resident_id FROM requests ORDER BY md5(id::text) LIMIT $1)
            """,
            count,
            residents,
        )
    finally:
        await connection.close()
    return [(str(row[0]), row[1], str(row[2])) for row in rows]
