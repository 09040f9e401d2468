"""服务牌: the plaque of a place, what its page may say, and the id that its QR code holds.

The id is random and says nothing of the place or of a person. It can be revoked at any time; a new
one revokes the former. What is shown is what the team is on the day somebody looks, and only what
was published.
"""

import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import Conflict, Gone, NotFound
from app.grids.queries import GridIndex, GridNode
from app.store.crypto import FieldCipher
from app.teams import photos, queries, rules
from app.teams.kinds import PLAQUE_ID_LENGTH, PlaqueEnd
from app.teams.models import MemberRow, PlaqueRow, TeamRow
from app.teams.queries import Personal, PlaceClosed
from app.teams.service import Change

_DIGITS = string.digits + string.ascii_letters
_ID = re.compile(rf"[0-9A-Za-z]{{{PLAQUE_ID_LENGTH}}}", re.ASCII)


class PlaqueNotFound(NotFound):
    """没有这块服务牌，请核对二维码。"""

    code = "plaque_not_found"


class PlaqueRevoked(Gone):
    """这块服务牌已停用，请以现场新牌为准，或拨打 12345 反映诉求。"""

    code = "plaque_revoked"


class PlaqueMissing(NotFound):
    """这里还没有有效的服务牌。"""

    code = "plaque_missing"


class LeaderNotPublished(Conflict):
    """请先任命负责人，并同意公开其姓名和工作电话，再制作服务牌。"""

    code = "plaque_leader_not_published"


@dataclass(frozen=True, slots=True)
class Shown:
    """Those who bear one title: the names that were published, and how many were not."""

    title: str
    names: tuple[str, ...]
    unnamed: int


@dataclass(frozen=True, slots=True)
class Leader:
    """``name`` None: in office, not published. ``photo``: a JPEG, if there is one."""

    title: str
    name: str | None
    phone: str | None
    photo: bytes | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """All that anybody may know of a team."""

    plaque_id: str
    grid_code: str
    place: str
    name_path: str
    level_text: str
    leader: Leader | None
    others: tuple[Shown, ...]
    duties: tuple[str, ...]
    party_group: str | None
    issued_at: datetime

    @property
    def scene(self) -> str:
        """What a mini-program's code says (getUnlimitedQRCode)."""
        return scene_of(self.plaque_id)


def scene_of(plaque_id: str) -> str:
    return f"p={plaque_id}"


async def issue(change: Change, *, today: date) -> PlaqueRow:
    """Give a place a new plaque; the former is no longer in force.

    Raises: PlaceClosed, LeaderNotPublished.
    """
    if not change.place.active:
        raise PlaceClosed
    team = await _team(change.session, change.place, change.rules, today)
    leader = _leader(team.members, today)
    if leader is None or not leader.published:
        raise LeaderNotPublished
    former = await _end(change, PlaqueEnd.REPLACED)
    row = PlaqueRow(
        id="".join(secrets.choice(_DIGITS) for _ in range(PLAQUE_ID_LENGTH)),
        grid_code=change.place.code,
        issued_at=change.now,
        issued_by=change.actor.id,
    )
    change.session.add(row)
    await change.session.flush()
    replaced = None if former is None else former.id
    await change.tell("issue_plaque", plaque_id=row.id, replaced=replaced)
    return row


async def revoke(change: Change) -> PlaqueRow:
    """Take the plaque of a place out of force. Raises: PlaqueMissing."""
    row = await _end(change, PlaqueEnd.REVOKED)
    if row is None:
        raise PlaqueMissing
    await change.tell("revoke_plaque", plaque_id=row.id)
    return row


async def _end(change: Change, by: PlaqueEnd) -> PlaqueRow | None:
    row = (
        await change.session.scalars(
            select(PlaqueRow).where(
                PlaqueRow.grid_code == change.place.code, PlaqueRow.revoked_at.is_(None)
            )
        )
    ).one_or_none()
    if row is not None:
        row.revoked_at, row.revoked_by, row.ended_by = change.now, change.actor.id, by
        await change.session.flush()
    return row


# --- what anybody may see ------------------------------------------------------------------------


async def published(
    session: AsyncSession, cipher: FieldCipher, grids: GridIndex, plaque_id: str, *, on: date
) -> Published:
    """What the code of a plaque leads to.

    Raises:
        PlaqueNotFound: there never was such a plaque.
        PlaqueRevoked: it is no longer in force, or its place was closed.
    """
    row = await session.get(PlaqueRow, plaque_id) if _ID.fullmatch(plaque_id) else None
    if row is None:
        raise PlaqueNotFound
    place = grids.node(row.grid_code)
    if row.revoked_at is not None or place is None or not place.active:
        raise PlaqueRevoked
    return await _published(session, cipher, grids, place, row, on)


async def published_of(
    session: AsyncSession, cipher: FieldCipher, grids: GridIndex, place: GridNode, *, on: date
) -> Published:
    """The same, of a place. Raises: PlaqueMissing."""
    row = (
        await session.scalars(
            select(PlaqueRow).where(
                PlaqueRow.grid_code == place.code, PlaqueRow.revoked_at.is_(None)
            )
        )
    ).one_or_none()
    if row is None or not place.active:
        raise PlaqueMissing
    return await _published(session, cipher, grids, place, row, on)


async def _published(
    session: AsyncSession,
    cipher: FieldCipher,
    grids: GridIndex,
    place: GridNode,
    plaque: PlaqueRow,
    on: date,
) -> Published:
    current = await rules.current(session)
    team = await _team(session, place, current, on)
    present = [row for row in team.members if queries.term_of(row).holds_on(on)]
    known = {row.id: queries.unseal(cipher, row) for row in present if row.published}
    leader = _leader(present, on)
    photo = None
    if leader is not None and leader.id in known:
        photo = await photos.of(session, cipher, leader.id)
    return Published(
        plaque_id=plaque.id,
        grid_code=place.code,
        place=place.name,
        name_path=place.name_path,
        level_text=grids.level_text(place.level, place.code),
        leader=None if leader is None else _shown_leader(leader, known.get(leader.id), photo),
        others=tuple(
            Shown(
                title,
                tuple(known[row.id].name for row in bearing if row.id in known),
                sum(row.id not in known for row in bearing),
            )
            for seat in current.templates[place.level].seats
            for title in seat.borne
            if not seat.leads
            and (bearing := [it for it in present if (it.seat, it.title) == (seat.code, title)])
        ),
        duties=tuple(
            name for _, name in current.duty_names([it for row in present for it in row.duties])
        ),
        party_group=_group_line(team.party_group, known),
        issued_at=plaque.issued_at,
    )


async def _team(
    session: AsyncSession, place: GridNode, current: rules.TeamRules, on: date
) -> queries.Team:
    [team] = await queries.teams_of(session, [place], current, on=on)
    return team


def _leader(members: Sequence[MemberRow], on: date) -> MemberRow | None:
    return next((row for row in members if row.leads and queries.term_of(row).holds_on(on)), None)


def _shown_leader(row: MemberRow, known: Personal | None, photo: bytes | None) -> Leader:
    if known is None:
        return Leader(row.title, None, None)
    return Leader(row.title, known.name, known.phone, photo)


def _group_line(team: TeamRow | None, known: dict[UUID, Personal]) -> str | None:
    if team is None or team.party_group_name is None or team.party_secretary_id is None:
        return None
    secretary = known.get(team.party_secretary_id)
    return team.party_group_name + (f"（组长 {secretary.name}）" if secretary else "")
