"""/statistics over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from app.domain.identity import Actor, Permission
from app.domain.measures import DEFINITION_VERSION, DEFINITIONS
from app.grids.deps import Grids
from app.people.deps import permit
from app.reference.deps import ReferenceData
from app.statistics import queries
from app.statistics.schemas import DefinitionsOut, GroupBy, SatisfactionOut
from app.web.deps import Db, Now
from app.web.period import Period
from app.web.strict_json import StrictRoute

router = APIRouter(prefix="/api/v1/statistics", tags=["statistics"], route_class=StrictRoute)

Reader = Annotated[Actor, Depends(permit(Permission.STATISTICS_READ))]
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@router.get("/satisfaction", response_model=SatisfactionOut)
async def get_satisfaction(
    _actor: Reader,
    db: Db,
    now: Now,
    period: Period,
    grids: Grids,
    reference: ReferenceData,
    group_by: GroupBy = GroupBy.NONE,
) -> dict[str, Any]:
    """满意度统计 over the requests submitted in the period (default: all until now)."""
    submitted_from = period[0] or _BEGINNING
    submitted_to = period[1] or max(now + timedelta(seconds=1), submitted_from)
    total, groups = await queries.satisfaction(
        db, submitted_from=submitted_from, submitted_to=submitted_to, group_by=group_by, now=now
    )

    def name(key: str | None) -> str:
        if key is None:
            return "未确定"
        match group_by:
            case GroupBy.UNIT:
                unit = reference.units.get(key)
                return unit.name if unit else key
            case GroupBy.CATEGORY:
                category = reference.categories.get(key)
                return category.name if category else key
            case GroupBy.TOWN | GroupBy.COMMUNITY | GroupBy.GRID:
                return grids.name_path(key) or key
            case _:
                return key

    return {
        "definition_version": DEFINITION_VERSION,
        "submitted_from": submitted_from,
        "submitted_to": submitted_to,
        "group_by": group_by,
        "total": total,
        "groups": [{"key": key, "name": name(key), **figures} for key, figures in groups],
    }


@router.get("/definitions", response_model=DefinitionsOut)
async def get_definitions(
    _actor: Annotated[Actor, Depends(permit(Permission.REFERENCE_READ))],
) -> dict[str, Any]:
    """指标口径: what each figure means."""
    return {
        "definition_version": DEFINITION_VERSION,
        "items": [
            {
                "code": measure,
                "name": meaning.name,
                "numerator": meaning.numerator,
                "denominator": meaning.denominator,
            }
            for measure, meaning in DEFINITIONS.items()
        ],
    }
