"""Requests and ratings by the hundred, straight into their tables."""

import json
from uuid import uuid4

from sqlalchemy import text

_COPIES = text("""
INSERT INTO requests
SELECT (jsonb_populate_record(one, jsonb_build_object('id', copy.id, 'number', copy.number,
  'unit_code', copy.unit))).*
FROM requests AS one, jsonb_to_recordset(CAST(:copies AS jsonb)) AS copy
  (id uuid, number text, unit text)
WHERE one.id = :id
""")
_COPIED = text("""
INSERT INTO request_ratings (request_id, cycle_no, resident_id, contacted, solved, satisfaction,
  reasons, at, unit_code, of_account, of_unit)
SELECT id, 1, who, contacted, 'solved', stars, '[]', at, unit, 1, (stars = 5)::int
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row
  (id uuid, who uuid, contacted boolean, stars int, at timestamptz, unit text)
""")


def made(at, who, unit, stars, *, contacted=True):
    return {"id": uuid4(), "who": who, "unit": unit, "stars": stars, "at": at,
            "contacted": contacted}  # fmt: skip


async def copy_requests(session, template, rows):
    copies = [{"id": it["id"], "number": it["id"].hex[:20], "unit": it["unit"]} for it in rows]
    await session.execute(_COPIES, {"id": template, "copies": json.dumps(copies, default=str)})


async def copy_ratings(session, rows):
    await session.execute(_COPIED, {"rows": json.dumps(rows, default=str)})
