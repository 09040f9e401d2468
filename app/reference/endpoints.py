"""HTTP doors of the slow tables: word lists for forms, and the due-time simulator."""

import hashlib
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain import sla
from app.domain.errors import NotFound
from app.domain.identity import Actor, Permission
from app.people.deps import permit
from app.reference import queries, views
from app.reference.deps import ReferenceData
from app.reference.dictionaries import DICTIONARIES
from app.reference.schemas import (
    CalendarOut,
    CategoriesOut,
    PoliciesOut,
    SimulateIn,
    SimulationOut,
    UnitsOut,
    WordOut,
)
from app.web.deps import Session
from app.web.strict_json import StrictRoute

router = APIRouter(prefix="/api/v1", tags=["reference"], route_class=StrictRoute)

Reader = Annotated[Actor, Depends(permit(Permission.REFERENCE_READ))]
Administrator = Annotated[Actor, Depends(permit(Permission.CALENDAR_SIMULATE))]
Anybody = Depends(permit(Permission.PUBLIC))
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


class CalendarNotFound(NotFound):
    """没有这个版本的工作日历。"""

    code = "calendar_not_found"


_DICTIONARIES = orjson.dumps(
    {
        name: [{"code": code, "text": text} for code, text in words.items()]
        for name, words in DICTIONARIES.items()
    }
)


@router.get("/dictionaries", response_model=dict[str, list[WordOut]], dependencies=[Anybody])
async def read_dictionaries(http: HttpRequest) -> Response:
    """Every closed word list with its Chinese text, by name."""
    return _tagged(http, _DICTIONARIES)


@router.get("/categories", response_model=CategoriesOut, dependencies=[Anybody])
async def list_categories(http: HttpRequest, reference: ReferenceData) -> Response:
    """The tree residents choose from; only what may be chosen now."""
    return _tagged(http, views.categories(reference).to_bytes())


@router.get("/units", response_model=UnitsOut)
async def list_units(reference: ReferenceData, _: Reader) -> UnitsOut:
    """Who can be responsible, active ones only."""
    return views.units(reference)


@router.get("/policies", response_model=PoliciesOut)
async def list_policies(reference: ReferenceData, _: Reader) -> PoliciesOut:
    """The promises new requests start with: the newest active version of each policy."""
    return views.policies(reference)


@router.get("/calendars", response_model=CalendarOut)
async def read_calendar(reference: ReferenceData, _: Reader) -> CalendarOut:
    """The current version of the working calendar and what it covers."""
    return views.calendar(
        reference.calendar,
        published_at=reference.calendar_published_at,
        sources=reference.calendar_sources,
    )


# ``:int``: other words after /calendars/ are other doors.
@router.get("/calendars/{version:int}", response_model=CalendarOut)
async def read_calendar_version(version: Version, session: Session, _: Reader) -> CalendarOut:
    """Any version ever published. A version never changes."""
    row = await queries.calendar_of_version(session, version)
    if row is None:
        raise CalendarNotFound
    calendar = await queries.working_calendar(session, row)
    return views.calendar(calendar, published_at=row.published_at, sources=row.sources)


@router.post("/calendars/simulate", response_model=SimulationOut)
async def simulate(body: SimulateIn, reference: ReferenceData, _: Administrator) -> SimulationOut:
    """When requests received at these instants would be due. Nothing is stored."""
    policy = reference.current_policy(body.policy_code or sla.DEFAULT_POLICY.code)
    return views.simulation(policy, reference.calendar, body.submitted_at)


def _tagged(http: HttpRequest, body: bytes) -> Response:
    """200 with an ETag, or 304 when the client has exactly this."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    known = {
        word.strip().removeprefix("W/") for word in http.headers.get("if-none-match", "").split(",")
    }
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
