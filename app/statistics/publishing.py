"""/statistics/snapshots over HTTP: preview, publish, read again. No rules here."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from app.domain.identity import Actor, Permission
from app.domain.measures import DEFINITIONS, Measure
from app.grids.deps import Grids
from app.people.deps import permit
from app.reference.deps import ReferenceData
from app.satisfaction.queries import read_id_cursor, write_cursor
from app.statistics import frozen, snapshots
from app.statistics import publication_schemas as schemas
from app.statistics.frozen import Change, Frozen
from app.statistics.snapshots import Publication, Published
from app.statistics.views import naming
from app.store.moment import one_moment
from app.store.session import Columns
from app.web import idempotency
from app.web.asked import Asked
from app.web.deps import Db, Now, Session
from app.web.idempotency import IdempotencyKey
from app.web.period import span
from app.web.strict_json import StrictRoute
from app.web.wire import Day, Id

router = APIRouter(
    prefix="/api/v1/statistics/snapshots", tags=["statistics"], route_class=StrictRoute
)

Publisher = Annotated[Actor, Depends(permit(Permission.STATISTICS_PUBLISH))]
Reader = Annotated[Actor, Depends(permit(Permission.STATISTICS_READ))]
_PUBLISH = "publish_figures"


async def _computed(
    db: Db, first: Day, last: Day, actor: Actor, reference: ReferenceData, grids: Grids, now: Now
) -> tuple[datetime, datetime, Frozen]:
    since, until = span(first, last)
    assert since is not None and until is not None  # noqa: S101, PT018 - both ends were given
    async with one_moment(db) as moment:
        name = naming(reference, grids)
        figures = await snapshots.compute(moment, since, until, actor=actor, name=name, now=now)
    return since, until, figures


@router.get("/preview", response_model=schemas.PreviewOut)
async def preview_figures(
    actor: Publisher,
    db: Db,
    now: Now,
    reference: ReferenceData,
    grids: Grids,
    asked: Annotated[schemas.PreviewIn, Depends(Asked(schemas.PreviewIn))],
) -> schemas.PreviewOut:
    """发布预览: what would be published now, and what that changes in what was published."""
    since, until, figures = await _computed(
        db, asked.first, asked.last, actor, reference, grids, now
    )
    known = await snapshots.revisions(db, since, until)
    changes: list[Change] = []
    if known:
        changes = frozen.changes(known[-1].figures.content(), figures.content())
    return schemas.PreviewOut(
        since=since,
        until=until,
        hash=figures.hash.hex(),
        content=figures.content(),
        revises=known[-1].row["id"] if known else None,
        changes=_changes(changes),
    )


@router.post("", response_model=schemas.SnapshotOut, status_code=201)
async def publish_figures(
    body: schemas.PublishIn,
    http: HttpRequest,
    session: Session,
    actor: Publisher,
    db: Db,
    now: Now,
    reference: ReferenceData,
    grids: Grids,
    key: IdempotencyKey,
) -> Response:
    """发布: the figures that were previewed, if they are still the same."""
    fingerprint = await idempotency.fingerprint_of(http)
    known = await idempotency.replay(
        db, actor_id=actor.id, operation=_PUBLISH, key=key, body_hash=fingerprint
    )
    if known is not None:
        return known
    # Before the first statement of ``session``: counting a year takes longer than a transaction
    # may stay open.
    since, until, figures = await _computed(db, body.first, body.last, actor, reference, grids, now)
    wanted = Publication(
        body.title, since, until, bytes.fromhex(body.hash), body.revises, body.reason
    )

    async def publish() -> schemas.SnapshotOut:
        snapshot_id = await snapshots.publish(session, wanted, figures, actor=actor, now=now)
        published = await snapshots.of(session, snapshot_id)
        return _whole(published)

    return await idempotency.once(
        http,
        session,
        actor_id=actor.id,
        operation=_PUBLISH,
        key=key,
        now=now,
        act=publish,
        status=201,
    )


@router.get("", response_model=schemas.SnapshotsOut)
async def list_snapshots(
    _actor: Reader,
    db: Db,
    asked: Annotated[schemas.SnapshotsIn, Depends(Asked(schemas.SnapshotsIn))],
) -> schemas.SnapshotsOut:
    """已发布的统计: the newest revision of each period, newest first."""
    rows = list(await snapshots.latest(db, read_id_cursor(asked.cursor), asked.limit + 1))
    shown = rows[: asked.limit]
    last = shown[-1] if len(rows) > asked.limit else None
    return schemas.SnapshotsOut(
        items=tuple(
            schemas.SnapshotHeadOut(**_head(row, intact=row["hashed"] and row["told"]))
            for row in shown
        ),
        next_cursor=write_cursor(last["published_at"], last["id"].hex) if last else None,
    )


@router.get("/{snapshot_id}", response_model=schemas.SnapshotOut)
async def get_snapshot(snapshot_id: Id, _actor: Reader, db: Db) -> schemas.SnapshotOut:
    """One revision, verified."""
    return _whole(await snapshots.get(db, snapshot_id))


@router.get("/{snapshot_id}/content", response_class=Response)
async def get_snapshot_content(snapshot_id: Id, _actor: Reader, db: Db) -> Response:
    """The very bytes that were hashed, for whoever checks the hash; the ETag is the hash."""
    figures = (await snapshots.get(db, snapshot_id)).figures
    headers = {"ETag": f'"{figures.hash.hex()}"'}
    return Response(figures.text.encode(), 200, headers, "application/json")


@router.get("/{snapshot_id}/revisions", response_model=schemas.RevisionsOut)
async def list_revisions(snapshot_id: Id, _actor: Reader, db: Db) -> schemas.RevisionsOut:
    """各版: all revisions of the same period, the first one first, each verified."""
    row = (await snapshots.get(db, snapshot_id)).row
    known = await snapshots.revisions(db, row["since"], row["until"])
    items = []
    for before, after in zip([None, *known], known, strict=False):
        changes = snapshots.compare(before, after).changes if before else []
        items.append(schemas.RevisionOut(**_head(after.row, intact=True), changes=len(changes)))
    return schemas.RevisionsOut(items=tuple(items))


@router.get("/{snapshot_id}/changes", response_model=schemas.ChangesOut)
async def get_changes(
    snapshot_id: Id,
    _actor: Reader,
    db: Db,
    asked: Annotated[schemas.ChangesIn, Depends(Asked(schemas.ChangesIn))],
) -> schemas.ChangesOut:
    """变更: what a revision tells otherwise than the one before (or ``against``), and why."""
    after = await snapshots.get(db, snapshot_id)
    before_id = asked.against or after.row["revises"] or snapshot_id
    difference = snapshots.compare(await snapshots.get(db, before_id), after)
    return schemas.ChangesOut(
        before=schemas.SnapshotHeadOut(**_head(difference.before.row, intact=True)),
        after=schemas.SnapshotHeadOut(**_head(after.row, intact=True)),
        changes=_changes(difference.changes),
    )


# --- as the API shows it -------------------------------------------------------------------------

_AS_IT_IS = (
    "id", "since", "until", "revision", "revises", "title", "reason", "definition_version",
    "published_by", "published_at",
)  # fmt: skip


def _head(row: Columns, *, intact: bool) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _AS_IT_IS},
        "hash": row["hash"].hex(),
        "intact": intact,
    }


def _whole(published: Published) -> schemas.SnapshotOut:
    head = _head(published.row, intact=True)
    return schemas.SnapshotOut(**head, content=published.figures.content())


def _changes(found: list[Change]) -> tuple[schemas.ChangeOut, ...]:
    return tuple(
        schemas.ChangeOut(
            group_by=change.group_by,
            keys=change.keys,
            names=change.names,
            measure=change.measure,
            measure_name=DEFINITIONS[Measure(change.measure)].name,
            was=dict(change.was) if change.was is not None else None,
            now=dict(change.now) if change.now is not None else None,
            difference=change.difference,
            **snapshots.causes(change),
        )
        for change in found
    )
