"""Reading teams: their members' terms, who leads elsewhere, hand-overs, the plaque in force."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import teams
from app.domain.errors import Conflict, NotFound
from app.domain.identity import Actor, Role
from app.domain.teams import Fault, Found, Term
from app.grids.queries import GridIndex, GridNode
from app.people import queries as people
from app.requests.queries import IS_OPEN, in_grid
from app.store.crypto import FieldCipher
from app.teams.kinds import TEMPLATE_RULES
from app.teams.models import HandoverRow, MemberRow, PlaqueRow, TeamRow
from app.teams.rules import TeamRules

UNTOUCHED = 1  # the version of a team that nobody has changed yet: it has no row
_FORMER_SHOWN = 100

_ELSEWHERE = text("""
SELECT mine.id, array_agg(DISTINCT other.grid_code ORDER BY other.grid_code)
FROM team_members AS mine JOIN team_members AS other
  ON other.grid_code <> mine.grid_code AND other.leads
  AND (other.staff_id = mine.staff_id OR other.phone_index = mine.phone_index)
  AND other.since <= :on AND (other.until IS NULL OR other.until > :on)
WHERE mine.leads AND mine.id = ANY(:ids) GROUP BY mine.id
""")
_OPEN = text(
    "SELECT requests.id, requests.state FROM requests"  # noqa: S608 - parts without input
    f" WHERE {IS_OPEN} AND {in_grid('', 'place').where} ORDER BY requests.id"
)
_STILL_OPEN = text(
    f"SELECT count(*) FROM requests WHERE {IS_OPEN} AND requests.id = ANY(:ids)"  # noqa: S608
)


class TeamNotFound(NotFound):
    """这里没有网格队伍。"""

    code = "team_not_found"


class PlaceClosed(Conflict):
    """该网格已撤销或调整。"""

    code = "team_place_closed"


class MemberNotFound(NotFound):
    """队伍中没有这个成员。"""

    code = "team_member_not_found"


@dataclass(frozen=True, slots=True)
class Team:
    """The team of a place as it is on a day: in office, and appointed for later."""

    place: GridNode
    version: int
    members: tuple[MemberRow, ...]
    party_group: TeamRow | None
    plaque: PlaqueRow | None
    faults: tuple[Found, ...]


def place_of(grids: GridIndex, code: str) -> GridNode:
    """A place that has a team, also a closed one. Raises: TeamNotFound."""
    node = grids.node(code)
    if node is None or node.level not in TEMPLATE_RULES:
        raise TeamNotFound
    return node


def places_after(grids: GridIndex, *, below: str, after: str) -> list[GridNode]:
    """The open places that have teams, in the order of their codes."""
    return sorted(
        (
            node
            for node in grids.nodes.values()
            if node.active
            and node.level in TEMPLATE_RULES
            and node.code.startswith(below)
            and node.code > after
        ),
        key=lambda node: node.code,
    )


def root_of(actor: Actor) -> str:
    """The place below which an actor works; "" for the whole city, "-" for nowhere."""
    if actor.role in (Role.GRID_LEADER, Role.MICRO_GRID_LEADER):
        return actor.grid_code or "-"
    return actor.grid_code or ""


def term_of(row: MemberRow) -> Term:
    return Term(
        member_id=row.id,
        seat=row.seat,
        title=row.title,
        since=row.since,
        until=row.until,
        staff_id=row.staff_id,
        phone_key=row.phone_index,
        duties=tuple(row.duties),
    )


async def teams_of(
    session: AsyncSession, places: Sequence[GridNode], rules: TeamRules, *, on: date
) -> list[Team]:
    """The teams of these places, with what each lacks: a handful of statements for all."""
    codes = [place.code for place in places]
    rows = {
        row.grid_code: row
        for row in await session.scalars(select(TeamRow).where(TeamRow.grid_code.in_(codes)))
    }
    members: dict[str, list[MemberRow]] = defaultdict(list)
    for member in await session.scalars(
        select(MemberRow)
        .where(
            MemberRow.grid_code.in_(codes),
            (MemberRow.until.is_(None))
            | ((MemberRow.until > on) & (MemberRow.until > MemberRow.since)),
        )
        .order_by(MemberRow.grid_code, MemberRow.since, MemberRow.id)
    ):
        members[member.grid_code].append(member)
    plaques = {
        plaque.grid_code: plaque
        for plaque in await session.scalars(
            select(PlaqueRow).where(PlaqueRow.grid_code.in_(codes), PlaqueRow.revoked_at.is_(None))
        )
    }
    more = await _leaders(session, [row for found in members.values() for row in found], on=on)
    pending = set(await session.scalars(
        select(HandoverRow.grid_code).where(
            HandoverRow.grid_code.in_(codes),
            HandoverRow.acknowledged_at.is_(None),
            HandoverRow.superseded_at.is_(None),
        )
    ))  # fmt: skip
    return [
        Team(
            place=place,
            version=rows[place.code].version if place.code in rows else UNTOUCHED,
            members=tuple(members[place.code]),
            party_group=rows.get(place.code),
            plaque=plaques.get(place.code),
            faults=tuple(_faults(place, members[place.code], rules, more, pending, on)),
        )
        for place in places
    ]


@dataclass(frozen=True, slots=True)
class _Leaders:
    """What is known of leaders beyond their team: where else they lead, which accounts fit."""

    elsewhere: Mapping[UUID, Sequence[str]]
    posts: Mapping[UUID, str | None]  # active account → its grid


async def _leaders(session: AsyncSession, members: Sequence[MemberRow], *, on: date) -> _Leaders:
    leading = [row for row in members if row.leads and term_of(row).holds_on(on)]
    if not leading:
        return _Leaders({}, {})
    found = await session.execute(_ELSEWHERE, {"ids": [row.id for row in leading], "on": on})
    accounts = await people.staff_members(
        session, {row.staff_id for row in leading if row.staff_id is not None}
    )
    return _Leaders(
        {row[0]: row[1] for row in found},
        {account.id: account.grid_code for account in accounts},
    )


def _faults(
    place: GridNode,
    members: Sequence[MemberRow],
    rules: TeamRules,
    more: _Leaders,
    pending: Collection[str],
    on: date,
) -> list[Found]:
    terms = [term_of(row) for row in members]
    found = teams.faults_of(rules.templates[place.level], rules.duties, terms, on=on)
    for row in members:
        if not row.leads or not term_of(row).holds_on(on):
            continue
        if row.id in more.elsewhere:
            places = tuple(more.elsewhere[row.id])
            found.append(_of_member(Fault.LEADS_TWO_PLACES, row, places))
        if row.staff_id is None or more.posts.get(row.staff_id) != place.code:
            found.append(_of_member(Fault.ACCOUNT_MISMATCH, row))
    if place.code in pending:
        found.append(Found(Fault.HANDOVER_PENDING, teams.FAULT_TEXT[Fault.HANDOVER_PENDING]))
    return found


def _of_member(fault: Fault, row: MemberRow, places: tuple[str, ...] = ()) -> Found:
    return Found(fault, teams.FAULT_TEXT[fault], row.seat, (row.id,), places)


async def former_members(session: AsyncSession, grid_code: str, *, on: date) -> list[MemberRow]:
    """Who has left, or never came, the last first; at most 100."""
    rows = await session.scalars(
        select(MemberRow)
        .where(
            MemberRow.grid_code == grid_code,
            (MemberRow.until <= on) | (MemberRow.until == MemberRow.since),
        )
        .order_by(MemberRow.until.desc(), MemberRow.id.desc())
        .limit(_FORMER_SHOWN)
    )
    return list(rows)


async def member(session: AsyncSession, grid_code: str, member_id: UUID) -> MemberRow:
    """Raises: MemberNotFound."""
    row = await session.get(MemberRow, member_id)
    if row is None or row.grid_code != grid_code:
        raise MemberNotFound
    return row


async def open_requests(session: AsyncSession, grid_code: str) -> list[tuple[UUID, str]]:
    """Every open request in a place and below it, with its state."""
    values = in_grid(grid_code, "place").values
    return [(id_, state) for id_, state in await session.execute(_OPEN, dict(values))]


async def still_open(session: AsyncSession, request_ids: Sequence[UUID]) -> int:
    """How many of these are open now."""
    return int(await session.scalar(_STILL_OPEN, {"ids": list(request_ids)}) or 0)


# --- personal data -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Personal:
    name: str
    phone: str | None


def seal(cipher: FieldCipher, member_id: UUID, personal: Personal) -> bytes:
    """Name and number in one: only for the row of this member."""
    return cipher.encrypt(f"{personal.name}\n{personal.phone or ''}", place=_place(member_id))


def unseal(cipher: FieldCipher, row: MemberRow) -> Personal:
    """Raises: UnreadableValue."""
    name, _, phone = cipher.decrypt(row.personal, place=_place(row.id)).partition("\n")
    return Personal(name, phone or None)


def phone_key(cipher: FieldCipher, phone: str | None) -> bytes | None:
    """What the same number always becomes, and nobody reads it from."""
    return None if phone is None else cipher.blind_index(phone, place="team_members.phone")


def _place(member_id: UUID) -> str:
    return f"team_members.personal/{member_id}"
