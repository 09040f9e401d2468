"""The leader's photograph: one for each term of office, sealed, bound to its row.

Shown where the name is: to anybody while the member is published, on the plaque while they lead.
"""

from datetime import date
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import Conflict, NotFound
from app.store.crypto import FieldCipher
from app.teams import queries, service
from app.teams.models import MemberRow, PhotoRow
from app.teams.queries import MemberNotFound
from app.teams.service import Change


class PhotoMissing(NotFound):
    """还没有照片。"""

    code = "team_photo_missing"


class PhotoNotForSeat(Conflict):
    """服务牌上只有负责人的照片，其他成员不需要上传。"""

    code = "team_photo_not_for_seat"


async def place_code(session: AsyncSession, member_id: UUID) -> str:
    """The code of the place in whose team somebody is, or was. Raises: MemberNotFound."""
    code = await session.scalar(select(MemberRow.grid_code).where(MemberRow.id == member_id))
    if code is None:
        raise MemberNotFound
    return code


async def put(change: Change, member_id: UUID, jpeg: bytes, *, today: date) -> MemberRow:
    """Set the photograph of a leader, instead of the former if there is one.

    Raises: MemberNotFound, MemberLeft, PhotoNotForSeat.
    """
    row = await service.in_office(change, member_id, today)
    if not row.leads:
        raise PhotoNotForSeat
    kept = {
        "jpeg": change.cipher.encrypt_bytes(jpeg, place=_place(member_id)),
        "updated_at": change.now,
    }
    await change.session.execute(
        insert(PhotoRow)
        .values(member_id=member_id, grid_code=row.grid_code, **kept)
        .on_conflict_do_update(index_elements=[PhotoRow.member_id], set_=kept)
    )
    await change.tell("set_photo", member_id=str(member_id))
    return row


async def remove(change: Change, member_id: UUID) -> MemberRow:
    """Take a photograph away, also of somebody who has left.

    Raises: MemberNotFound, PhotoMissing.
    """
    row = await queries.member(change.session, change.place.code, member_id)
    gone = await change.session.scalar(
        delete(PhotoRow).where(PhotoRow.member_id == member_id).returning(PhotoRow.member_id)
    )
    if gone is None:
        raise PhotoMissing
    await change.tell("remove_photo", member_id=str(member_id))
    return row


async def of(session: AsyncSession, cipher: FieldCipher, member_id: UUID) -> bytes | None:
    """The JPEG; None: there is none. Whether it may be shown is the caller's to know."""
    sealed = await session.scalar(select(PhotoRow.jpeg).where(PhotoRow.member_id == member_id))
    return None if sealed is None else cipher.decrypt_bytes(sealed, place=_place(member_id))


async def shown(
    session: AsyncSession, cipher: FieldCipher, member_id: UUID, *, unpublished: bool
) -> bytes:
    """The JPEG, if the member is published, or ``unpublished`` ones may be seen too.

    Raises: PhotoMissing: the same where there is none, where it is not shown, and of nobody.
    """
    published = await session.scalar(select(MemberRow.published).where(MemberRow.id == member_id))
    if published is None or not (published or unpublished):
        raise PhotoMissing
    jpeg = await of(session, cipher, member_id)
    if jpeg is None:
        raise PhotoMissing
    return jpeg


def _place(member_id: UUID) -> str:
    return f"team_photos.jpeg/{member_id}"
