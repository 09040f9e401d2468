"""/inbox over HTTP."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from app.domain.errors import Invalid
from app.domain.identity import Actor, Permission
from app.notifications import queries, service
from app.notifications.schemas import InboxOut, MarkedOut, MarkReadIn
from app.people.deps import permit
from app.web.deps import Db, Now, Session
from app.web.strict_json import StrictRoute
from app.web.wire import Line, PageLimit

router = APIRouter(prefix="/api/v1/inbox", tags=["inbox"], route_class=StrictRoute)

Owner = Annotated[Actor, Depends(permit(Permission.SELF))]


class CursorInvalid(Invalid):
    """翻页参数无效，请从第一页重新查询。"""

    code = "cursor_invalid"


@router.get("", response_model=InboxOut)
async def get_inbox(
    actor: Owner,
    db: Db,
    now: Now,
    unread: bool = False,
    limit: PageLimit = 20,
    cursor: Line | None = None,
) -> dict[str, Any]:
    """消息列表, newest first; ``unread=true`` leaves out what was read."""
    if cursor is not None and re.fullmatch(r"[0-9]{1,18}", cursor, re.ASCII) is None:
        raise CursorInvalid
    before = int(cursor) if cursor else None
    rows, unread_count = await queries.page(
        db, actor=actor, unread_only=unread, before=before, limit=limit, now=now
    )
    items = [
        {
            "id": str(row["event_key"]),
            "request_id": row["request_id"] and str(row["request_id"]),
            "number": row["number"],
            "event": row["event"],
            "title": row["title"],
            "body": row["body"],
            "occurred_at": row["occurred_at"],
            "fired_late_by_s": row["fired_late_by_s"],
            "read": row["read_at"] is not None,
        }
        for row in rows[:limit]
    ]
    next_cursor = items[-1]["id"] if len(rows) > limit else None
    return {"items": items, "unread": unread_count, "next_cursor": next_cursor}


@router.post("/read", response_model=MarkedOut)
async def mark_read(form: MarkReadIn, actor: Owner, session: Session, now: Now) -> dict[str, int]:
    """标为已读. Marking twice does no harm, so no key is asked for."""
    up_to = int(form.up_to) if form.up_to else None
    return {"marked": await service.mark_read(session, actor=actor, up_to=up_to, now=now)}
