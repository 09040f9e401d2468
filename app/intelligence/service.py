"""Taking in what was done before, and keeping what was learned from it."""

import hashlib
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.identity import SYSTEM
from app.domain.suggestion import FIELDS, LinearModel
from app.intelligence.history_file import Case
from app.intelligence.models import RoutingModel

_AT_ONCE = 5_000
_COLUMNS = ("origin", "origin_id", "at", *FIELDS, "unit", "unit_name")
_NAMES = ", ".join(_COLUMNS)
_SCRATCH = text(
    f"CREATE TEMP TABLE incoming_cases ON COMMIT DROP AS SELECT {_NAMES} FROM routing_history"  # noqa: S608
    " WITH NO DATA"
)
_TAKE = text(
    f"WITH taken AS (INSERT INTO routing_history ({_NAMES})"  # noqa: S608 - names of our own
    f" SELECT {_NAMES} FROM incoming_cases"
    " ON CONFLICT (origin, origin_id) DO NOTHING RETURNING 1) SELECT count(*) FROM taken"
)


async def import_cases(
    session: AsyncSession, cases: Iterable[Case], *, origin: str, now: datetime
) -> tuple[int, int]:
    """Add the cases that are new of this origin; return how many there were and how many new."""
    await session.execute(_SCRATCH)
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    seen, digest = 0, hashlib.sha256()
    for batch in _batches(cases):
        records = [_record(case, origin) for case in batch]
        await driver.copy_records_to_table(
            "incoming_cases", records=records, columns=list(_COLUMNS)
        )
        seen += len(records)
        for record in records:
            digest.update(repr(record).encode())
    new = int(await session.scalar(_TAKE) or 0)
    facts = {"origin": origin, "cases": seen, "new": new, "digest": digest.hexdigest()}
    await audit.append(
        session,
        chain_of("routing_history"),
        actor=SYSTEM,
        action="import_routing_history",
        facts=facts,
        now=now,
    )
    return seen, new


def _batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    walk = iter(cases)
    while batch := list(islice(walk, _AT_ONCE)):
        yield batch


def _record(case: Case, origin: str) -> tuple[Any, ...]:
    values = (case.fields.get(name, "") for name in FIELDS)
    return (origin, case.id, case.at, *values, case.unit, case.unit_name)


async def keep_model(
    session: AsyncSession,
    model: LinearModel,
    *,
    cases: int,
    metrics: Mapping[str, Any],
    now: datetime,
) -> RoutingModel:
    """Keep a fitted model as the next version; from now on suggestions come from it."""
    await session.execute(text("LOCK TABLE routing_models IN SHARE ROW EXCLUSIVE MODE"))
    newest = await session.scalar(select(func.max(RoutingModel.version)))
    features, weights = packed(model)
    row = RoutingModel(
        version=(newest or 0) + 1,
        trained_at=now,
        cases=cases,
        units=list(model.units),
        features=features,
        weights=weights,
        metrics=dict(metrics),
    )
    session.add(row)
    await session.flush()
    facts = {
        "model_version": row.version,
        "cases": cases,
        "units": len(model.units),
        "digest": hashlib.sha256(features + weights).hexdigest(),
    }
    await audit.append(
        session,
        chain_of("routing_models"),
        actor=SYSTEM,
        action="keep_routing_model",
        facts=facts,
        now=now,
    )
    return row


def packed(model: LinearModel) -> tuple[bytes, bytes]:
    """Features and weights as the table keeps them."""
    ordered = sorted(model.rows, key=lambda feature: model.rows[feature])
    return zlib.compress(_little(array("I", ordered))), zlib.compress(_little(model.weights))


def unpacked(units: Iterable[str], features: bytes, weights: bytes) -> LinearModel:
    columns = tuple(units)
    names = array("I", zlib.decompress(features))
    values = array("f", zlib.decompress(weights))
    if sys.byteorder == "big":
        names.byteswap()
        values.byteswap()
    rows = {feature: place * len(columns) for place, feature in enumerate(names)}
    return LinearModel(columns, rows, values)


def _little(values: "array[Any]") -> bytes:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()
