"""A proposal of units for a request that no rule names one for. It decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.suggestion import Proposal
from app.intelligence import queries
from app.requests.city import City

MOST = 3
_BY_HAND = frozenset({"no_rule", "category_missing"})


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``needed``: no rule has named a unit and nobody has the request yet."""

    needed: bool
    model_version: int  # 0: by counts alone
    fields: Mapping[str, str]
    proposals: tuple[Proposal, ...]  # of units of this city, by their codes here


async def suggest(session: AsyncSession, city: City, row: Mapping[str, Any]) -> Suggestion:
    """What history proposes. Args: ``row`` from ``queries.request_to_route``."""
    fields = queries.fields_of(city, row["category_code"], row["grid_code"], row["kind"])
    codes = {reason["code"] for reason in row["routing"]["reasons"]}
    needed = row["unit_code"] is None and not codes.isdisjoint(_BY_HAND)
    if not needed or not fields.keys() - {"kind", "town"}:
        return Suggestion(needed, 0, fields, ())
    counted, names = await queries.counts(session, fields)
    version, model = await queries.newest_model(session)
    ours = _ours(city, {**{unit: unit for unit in model.units}, **names} if model else names)
    if model is not None and not set(model.units).isdisjoint(ours):
        found = model.propose(fields, counted, MOST, allowed=ours)
    else:
        version = 0
        found = [it for it in counted.propose(fields, MOST * 5) if it.unit in ours][:MOST]
    proposals = tuple(
        Proposal(ours[it.unit], it.confidence, it.level, it.cases, it.of) for it in found
    )
    return Suggestion(needed, version, fields, proposals)


def _ours(city: City, known: Mapping[str, str]) -> dict[str, str]:
    """Units of the history that are active units here: by their code, else by their name."""
    by_name = {unit.name: unit.code for unit in city.reference.units.values() if unit.active}
    found: dict[str, str] = {}
    for code, name in known.items():
        unit = city.reference.units.get(code)
        if unit is not None and unit.active:
            found[code] = code
        elif name in by_name:
            found[code] = by_name[name]
    return found
