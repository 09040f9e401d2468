"""/registry over HTTP: collecting, reading, looking up, opening, progress. No rules here."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.domain.errors import Invalid
from app.domain.registry import OUTCOME_TEXT, SOURCE_TEXT, Kind, Outcome, stale_before
from app.people.deps import Cipher
from app.registry import collecting, contents, progress, queries, reveal, views
from app.registry.deps import Collector, Counter, ListIn, Opener, Plural, ProgressIn, Reader
from app.registry.forms import BatchIn, LookupIn, RevealIn
from app.registry.kinds import BY_PLURAL, SPECS
from app.registry.progress import Count
from app.registry.queries import Filters
from app.registry.register import Answer, Rival
from app.registry.schemas import (
    BatchOut,
    ConflictOut,
    CountOut,
    DifferenceOut,
    FaultOut,
    FoundOut,
    PersonalOut,
    PlaceProgressOut,
    ProgressOut,
    ProgressTotalOut,
    RecordDetail,
    RecordPage,
    TakenOut,
)
from app.web.asked import Asked
from app.web.deps import Config, Db, Now, Session
from app.web.strict_json import StrictRoute
from app.web.wire import Id

router = APIRouter(prefix="/api/v1/registry", tags=["registry"], route_class=StrictRoute)
_MEMBERS = 100


class FilterUnfit(Invalid):
    """这类记录不能按此条件筛选。"""

    code = "filter_unfit"


@router.post("/batches")
async def take_batch(
    form: BatchIn, actor: Collector, session: Session, cipher: Cipher, now: Now
) -> BatchOut:
    """采集上报: up to 200 records, each answered by itself.

    Takes no ``Idempotency-Key``: each record has its own key in ``client_id``, so that a phone may
    send what is left in whatever batch; and a kept answer would hold personal data, if masked.
    """
    answers = await collecting.collect(session, cipher, form.records, actor=actor, now=now)
    items = [_taken(at, answer) for at, answer in enumerate(answers)]
    counts = {it: sum(answer.outcome is it for answer in answers) for it in Outcome}
    return BatchOut(items=items, counts=counts)


def _taken(at: int, answer: Answer) -> TakenOut:
    return TakenOut(
        index=at,
        client_id=answer.client_id,
        outcome=answer.outcome,
        outcome_text=OUTCOME_TEXT[answer.outcome],
        id=None if answer.id is None else str(answer.id),
        version=answer.version,
        errors=[FaultOut(pointer=it.pointer, code=it.code, message=it.message)
                for it in answer.errors],
        conflict=answer.rival and _conflict(answer.kind, answer.rival),
    )  # fmt: skip


def _conflict(kind: Kind | None, rival: Rival) -> ConflictOut | None:
    if kind is None:
        return None
    entry, spec = rival.entry, SPECS[kind]
    return ConflictOut(
        id=str(entry.id),
        version=entry.version,
        updated_by=rival.updated_by,
        updated_at=entry.stamp.updated_at,
        source=entry.stamp.source,
        source_text=SOURCE_TEXT[entry.stamp.source],
        differences=[
            DifferenceOut(
                field=name,
                kept=views.difference_view(spec, name, entry.content),
                sent=views.difference_view(spec, name, rival.sent),
            )
            for name in rival.differences
        ],
    )


@router.get("/progress")
async def get_progress(
    actor: Counter, asked: Annotated[ProgressIn, Depends(Asked(ProgressIn))], db: Db, now: Now
) -> ProgressOut:
    """采集进度: figures by place, no person among them."""
    places = await progress.of_places(
        db,
        actor=actor,
        grid_code=asked.grid,
        level=asked.level,
        stale_before=stale_before(now, asked.stale_days),
    )
    return ProgressOut(
        items=[
            PlaceProgressOut(
                code=place.code,
                name=place.name,
                level=place.level,
                households=_count(place.counts[Kind.HOUSEHOLD]),
                persons=_count(place.counts[Kind.PERSON]),
                houses=_count(place.counts[Kind.HOUSE]),
            )
            for place in places
        ],
        total=ProgressTotalOut(
            households=_sum(place.counts[Kind.HOUSEHOLD] for place in places),
            persons=_sum(place.counts[Kind.PERSON] for place in places),
            houses=_sum(place.counts[Kind.HOUSE] for place in places),
        ),
        stale_days=asked.stale_days,
    )


def _count(count: Count) -> CountOut:
    return CountOut(expected=count.expected, collected=count.collected, stale=count.stale)


def _sum(counts: Iterable[Count]) -> CountOut:
    return _count(sum(counts, Count()))


@router.post("/persons/lookup")
async def look_up(
    form: LookupIn, actor: Reader, session: Session, db: Db, cipher: Cipher, now: Now
) -> FoundOut:
    """按号码查找: who has exactly this number, masked. In the body, so that no log keeps it."""
    if (form.phone is None) == (form.id_number is None):
        raise reveal.LookupUnclear
    by, number = ("phone", form.phone) if form.phone else ("id_number", form.id_number)
    spec = SPECS[Kind.PERSON]
    index = contents.index_of(cipher, spec, by, number or "")
    rows = await queries.with_number(db, spec, by, index, actor=actor)
    await reveal.tell_lookup(session, by=by, found=len(rows), actor=actor, now=now)
    fresh = stale_before(now)
    return FoundOut(
        items=[views.record_view(cipher, spec, row, stale_before=fresh) for row in rows]
    )


@router.get("/{kind}")
async def list_records(
    kind: Plural,
    actor: Reader,
    asked: Annotated[ListIn, Depends(Asked(ListIn))],
    db: Db,
    cipher: Cipher,
    now: Now,
) -> RecordPage:
    """One register, in the order of grids, masked."""
    spec = BY_PLURAL[kind]
    if (asked.tag and spec.occupant is None) or (asked.household and spec.kind is not Kind.PERSON):
        raise FilterUnfit
    fresh = stale_before(now, asked.stale_days)
    rows, following = await queries.page(
        db,
        spec,
        Filters(asked.grid, asked.tag, asked.household, asked.stale, fresh, asked.active),
        actor=actor,
        limit=asked.limit,
        cursor=asked.cursor,
    )
    return RecordPage(
        items=[views.record_view(cipher, spec, row, stale_before=fresh) for row in rows],
        next_cursor=following,
    )


@router.get("/{kind}/{record_id}", response_model=RecordDetail)
async def get_record(
    kind: Plural, record_id: Id, actor: Reader, db: Db, cipher: Cipher, now: Now
) -> Response:
    """One record, masked, with the members of a household or the dwellers of a house."""
    spec, fresh = BY_PLURAL[kind], stale_before(now)
    row = await queries.get(db, spec, record_id, actor=actor)
    members = dwellers = None
    if spec.kind is Kind.HOUSEHOLD:
        persons = SPECS[Kind.PERSON]
        rows, _ = await queries.page(
            db, persons, Filters(household_id=record_id), actor=actor, limit=_MEMBERS, cursor=None
        )
        members = [views.record_view(cipher, persons, it, stale_before=fresh) for it in rows]
    if spec.kind is Kind.HOUSE:
        dwellers = views.dwellers_view(await queries.dwellers(db, record_id, actor=actor))
    facts = views.record_facts(cipher, spec, row, stale_before=fresh)
    answer = RecordDetail(**facts, members=members, dwellers=dwellers)
    return Response(
        answer.to_bytes(), headers={"ETag": f'"{answer.version}"'}, media_type="application/json"
    )


@router.post("/{kind}/{record_id}/reveal", response_model=PersonalOut)
async def reveal_record(
    kind: Plural,
    record_id: Id,
    form: RevealIn,
    actor: Opener,
    session: Session,
    cipher: Cipher,
    config: Config,
    now: Now,
) -> Response:
    """查看个人信息, in clear, for a reason that is kept.

    Takes neither ``Idempotency-Key`` nor ``If-Match``: every call is a look of its own, and a kept
    answer would lie readable beside the sealed original.
    """
    personal = await reveal.reveal(
        session,
        cipher,
        BY_PLURAL[kind],
        record_id,
        reason=form.reason,
        actor=actor,
        per_day=config.limits.reveals_per_day,
        now=now,
    )
    answer = PersonalOut(
        name=personal.get("name"),
        phone=personal.get("phone"),
        id_number=personal.get("id_number"),
    )
    return Response(
        answer.to_bytes(), headers={"Cache-Control": "no-store"}, media_type="application/json"
    )
