"""/satisfaction over HTTP: call-back samples and their outcome, anomalies. No rules here."""

import secrets
from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.anomalies import Thresholds
from app.domain.errors import Invalid
from app.domain.identity import Actor, Permission
from app.domain.sampling import BY_THE_GRID, SEED_BYTES
from app.people.deps import permit
from app.reference.deps import ReferenceData
from app.satisfaction import agreement, anomalies, queries, schemas, service, views
from app.satisfaction.service import Wish
from app.settings import AnomalySettings
from app.web import idempotency
from app.web.asked import Asked
from app.web.deps import Config, Db, Now, Session
from app.web.idempotency import IdempotencyKey
from app.web.period import span
from app.web.strict_json import StrictRoute
from app.web.wire import Id

router = APIRouter(prefix="/api/v1/satisfaction", tags=["satisfaction"], route_class=StrictRoute)

Reader = Annotated[Actor, Depends(permit(Permission.STATISTICS_READ))]
Drawer = Annotated[Actor, Depends(permit(Permission.CALL_BACK_DRAW))]
_USUAL_PERIOD = timedelta(days=30)


class PeriodTooLong(Invalid):
    """查询的时间范围过长，请缩短后再查。"""

    code = "period_too_long"


class PeriodAhead(Invalid):
    """时间范围应在过去。"""

    code = "period_ahead"


def _wish(
    first: date | datetime, last: date | datetime, sample_size: int, minimum: int, now: datetime
) -> Wish:
    """Nothing is answered in the future, and what is kept says so."""
    since, until = span(first, last)
    assert since is not None  # noqa: S101 - both were given
    assert until is not None  # noqa: S101
    until = min(until, now)
    if since >= until:
        raise PeriodAhead
    return Wish(since, until, sample_size, minimum)


@router.get("/frame", response_model=schemas.FrameOut)
async def preview_sample(
    _: Drawer,
    session: Session,
    reference: ReferenceData,
    now: Now,
    asked: Annotated[schemas.FrameIn, Depends(Asked(schemas.FrameIn))],
) -> schemas.FrameOut:
    """抽样预览: who could be called back, unit by unit, and how many of them would be drawn.

    Nothing is drawn and nothing is stored.
    """
    wish = _wish(asked.first, asked.last, asked.sample_size, asked.minimum, now)
    return views.frame(await service.frame(session, wish), wish, reference)


@router.post("/campaigns", response_model=schemas.CampaignOut, status_code=201)
async def draw_sample(
    body: schemas.CampaignIn,
    http: HttpRequest,
    session: Session,
    actor: Drawer,
    key: IdempotencyKey,
    now: Now,
) -> Response:
    """抽取回访样本: what is drawn appears on the callers' list (``GET /requests?sampled=true``)."""

    async def act() -> schemas.CampaignOut:
        campaign = await service.draw(
            session,
            body.title,
            _wish(body.replied_from, body.replied_to, body.sample_size, body.minimum, now),
            seed=secrets.token_bytes(SEED_BYTES),
            frame_digest=body.frame_digest,
            actor=actor,
            now=now,
        )
        return views.campaign(campaign)

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation="draw_call_backs",
        key=key,
        now=now,
        act=act,
        status=201,
    )


@router.get("/campaigns", response_model=schemas.CampaignsOut)
async def list_campaigns(
    _: Reader, db: Db, asked: Annotated[schemas.PageIn, Depends(Asked(schemas.PageIn))]
) -> schemas.CampaignsOut:
    """回访活动, newest first."""
    rows, next_cursor = await queries.campaigns(db, limit=asked.limit, cursor=asked.cursor)
    return schemas.CampaignsOut(
        items=tuple(views.campaign(row) for row in rows), next_cursor=next_cursor
    )


@router.get("/campaigns/{campaign_id}", response_model=schemas.CampaignProgressOut)
async def get_campaign(
    campaign_id: Id, _: Reader, db: Db, reference: ReferenceData
) -> schemas.CampaignProgressOut:
    """回访进度, in total and unit by unit."""
    row = await queries.campaign(db, campaign_id)
    return views.progress(row, await queries.progress(db, campaign_id), reference)


@router.get("/campaigns/{campaign_id}/members", response_model=schemas.MembersOut)
async def list_members(
    campaign_id: Id,
    _: Reader,
    db: Db,
    asked: Annotated[schemas.MembersIn, Depends(Asked(schemas.MembersIn))],
) -> schemas.MembersOut:
    """抽样范围: everybody who could have been drawn of a unit, and who was, to draw it again."""
    unit_code = asked.unit or BY_THE_GRID
    stratum, rows, next_cursor = await queries.members(
        db, campaign_id, unit_code, limit=asked.limit, cursor=asked.cursor
    )
    return views.members(unit_code, stratum, rows, next_cursor)


@router.get("/agreement", response_model=schemas.AgreementOut)
async def get_agreement(
    actor: Reader,
    db: Db,
    reference: ReferenceData,
    asked: Annotated[schemas.AgreementIn, Depends(Asked(schemas.AgreementIn))],
) -> schemas.AgreementOut:
    """回访一致性: what residents said when called against what they had rated themselves."""
    since, until = span(asked.first, asked.last)
    told = await agreement.agreement(
        db, since=since, until=until, campaign_id=asked.campaign, actor=actor
    )
    return views.agreement(told, reference)


def _thresholds(knobs: AnomalySettings) -> Thresholds:
    return Thresholds(
        account_ratings=knobs.account_ratings,
        account_within=timedelta(hours=knobs.account_within_hours),
        burst_ratings=knobs.burst_ratings,
        burst_within=timedelta(seconds=knobs.burst_within_s),
        fast_reply=timedelta(minutes=knobs.fast_reply_minutes),
    )


@router.get("/anomalies", response_model=schemas.AnomaliesOut)
async def list_anomalies(
    _: Reader,
    db: Db,
    reference: ReferenceData,
    config: Config,
    now: Now,
    asked: Annotated[schemas.AnomaliesIn, Depends(Asked(schemas.AnomaliesIn))],
) -> schemas.AnomaliesOut:
    """异常线索, newest first, each with its requests and the facts it rests on."""
    since, until = span(asked.first, asked.last)
    until = until or (now if since is None else max(now, since))
    since = since or until - _USUAL_PERIOD
    if until - since > timedelta(days=config.anomalies.longest_period_days):
        raise PeriodTooLong(most_days=config.anomalies.longest_period_days)
    thresholds = _thresholds(config.anomalies)
    found, next_cursor = await anomalies.page(
        db,
        since=since,
        until=until,
        thresholds=thresholds,
        kind=asked.kind,
        unit_code=asked.unit,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return schemas.AnomaliesOut(
        since=since,
        until=until,
        thresholds=views.thresholds(thresholds),
        items=tuple(views.anomaly(it, reference) for it in found),
        next_cursor=next_cursor,
    )
