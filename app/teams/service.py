"""Changing a team: appointing, ending terms, what a member does, the party group.

Every change takes the team's row and raises its version, so that two at once never see the same
seat free. One entry in the team's audit for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.errors import Conflict, Invalid, Stale
from app.domain.grid_codes import GridLevel
from app.domain.identity import Actor
from app.domain.teams import Seat
from app.grids.queries import GridNode
from app.people import queries as people
from app.store.base import new_id
from app.store.crypto import FieldCipher
from app.teams import handovers, queries
from app.teams.models import HandoverRow, MemberRow, TeamRow
from app.teams.queries import MemberNotFound, Personal, PlaceClosed
from app.teams.rules import TeamRules


class SeatUnknown(Invalid):
    """现行队伍模板中没有这个岗位或称谓。"""

    code = "team_seat_unknown"


class SeatTaken(Conflict):
    """这个岗位在该任期内已有人担任，请先结束原任期。"""

    code = "team_seat_taken"


class TermEmpty(Invalid):
    """任期至少一天，离任日期应晚于任职日期；撤销任命的，填任职当日。"""

    code = "team_term_empty"


class MemberLeft(Conflict):
    """该成员已离任。"""

    code = "team_member_left"


class SuccessorNotForLater(Invalid):
    """交接应在当日或事后办理，离任日期不能晚于今天。"""

    code = "team_successor_not_for_later"


class LeaderPhoneMissing(Invalid):
    """负责人须填写工作电话。"""

    code = "team_leader_phone_missing"


class DutyUnknown(Invalid):
    """职责清单中没有这项职责。"""

    code = "team_duty_unknown"


class AccountUnknown(Invalid):
    """没有这个在用的工作人员账号。"""

    code = "team_account_unknown"


class SecretaryNotMember(Invalid):
    """党小组组长应为本队伍的在任成员。"""

    code = "team_secretary_not_member"


class GroupNotForMicroGrids(Invalid):
    """党小组建在网格上，微网格不单独设立。"""

    code = "team_group_not_for_micro"


@dataclass(frozen=True, slots=True)
class Who:
    """A person to be appointed."""

    name: str
    phone: str | None
    staff_id: UUID | None
    title: str | None
    duties: Sequence[str]
    published: bool
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A team being changed: taken, its version already raised."""

    session: AsyncSession
    cipher: FieldCipher
    rules: TeamRules
    place: GridNode
    team: TeamRow
    actor: Actor
    now: datetime

    @property
    def chain(self) -> UUID:
        return chain_of(f"team:{self.place.code}")

    async def tell(self, action: str, **facts: Any) -> None:
        """Add to the team's audit."""
        await audit.append(
            self.session,
            self.chain,
            actor=self.actor,
            action=action,
            facts={"grid_code": self.place.code, "team_version": self.team.version, **facts},
            now=self.now,
        )


async def take(
    session: AsyncSession,
    cipher: FieldCipher,
    rules: TeamRules,
    place: GridNode,
    *,
    version: int,
    actor: Actor,
    now: datetime,
) -> Change:
    """Take a team to change it. Raises: Stale: ``version`` is not the present one."""
    await session.execute(
        insert(TeamRow)
        .values(grid_code=place.code, version=queries.UNTOUCHED, updated_at=now)
        .on_conflict_do_nothing()
    )
    team = (
        await session.scalars(
            select(TeamRow).where(TeamRow.grid_code == place.code).with_for_update()
        )
    ).one()
    if team.version != version:
        raise Stale
    team.version, team.updated_at = version + 1, now
    return Change(session, cipher, rules, place, team, actor, now)


async def appoint(
    change: Change, seat_code: str, who: Who, *, since: date, today: date
) -> tuple[MemberRow, HandoverRow | None]:
    """Put somebody into a seat. Whoever follows a leader that has left is handed the open work.

    Raises:
        PlaceClosed, SeatUnknown, SeatTaken, TermEmpty, LeaderPhoneMissing, DutyUnknown,
        AccountUnknown.
    """
    if not change.place.active:
        raise PlaceClosed
    seat = _seat(change, seat_code)
    former = None
    if seat.leads and since <= today and (who.until is None or who.until > today):
        former = await handovers.last_leader(change.session, change.place.code, before=since)
    row = await _add(change, seat, who, since=since)
    handover = None
    if former is not None:
        handover = await handovers.hand_over(
            change.session, change.place, former, row, actor=change.actor, now=change.now
        )
    await change.tell(
        "appoint_member",
        **_facts(row),
        handover=None if handover is None else str(handover.id),
    )
    return row, handover


async def end(
    change: Change, member_id: UUID, *, until: date, successor: Who | None, today: date
) -> tuple[MemberRow, HandoverRow | None]:
    """End a term; ``until`` is the first day out of office, or the first in it: then the
    appointment is taken back.

    With a ``successor``, who sits in the same seat from that day on, a leader's open work is handed
    over at this moment. Returns the successor, or else who has left, and the hand-over.

    Raises:
        MemberNotFound, MemberLeft, TermEmpty, SuccessorNotForLater, and as ``appoint``.
    """
    row = await in_office(change, member_id, today)
    if until < row.since:
        raise TermEmpty
    if successor is not None and until > today:
        raise SuccessorNotForLater
    row.until = until
    await change.session.flush()
    if change.team.party_secretary_id == row.id and until <= max(today, row.since):
        _set_group(change.team, None)
    await change.tell("end_term", member_id=str(row.id), until=until.isoformat())
    if successor is None:
        return row, None
    if not change.place.active:
        raise PlaceClosed
    seat = _seat(change, row.seat)
    heir = await _add(change, seat, successor, since=until)
    handover = None
    if row.leads:
        handover = await handovers.hand_over(
            change.session, change.place, row, heir, actor=change.actor, now=change.now
        )
    await change.tell(
        "appoint_member",
        **_facts(heir),
        handover=None if handover is None else str(handover.id),
    )
    return heir, handover


async def amend(
    change: Change, member_id: UUID, said: Mapping[str, Any], *, today: date
) -> MemberRow:
    """Change what is known of a member: ``name, phone, staff_id, duties, published``, those that
    are said.

    Raises: MemberNotFound, MemberLeft, LeaderPhoneMissing, DutyUnknown, AccountUnknown.
    """
    row = await in_office(change, member_id, today)
    if "name" in said or "phone" in said:
        known = queries.unseal(change.cipher, row)
        personal = Personal(said.get("name") or known.name, said.get("phone", known.phone))
        _seal(change, row, personal)
    if "staff_id" in said:
        await _check_account(change.session, said["staff_id"])
        row.staff_id = said["staff_id"]
    if said.get("duties") is not None:
        row.duties = _checked_duties(change.rules, said["duties"])
    if said.get("published") is not None:
        row.published = said["published"]
    await change.tell("amend_member", **_facts(row), changed=sorted(said))
    return row


async def set_party_group(
    change: Change, group: tuple[str, UUID, date] | None, *, today: date
) -> None:
    """Say what the party group is called, who its secretary is and since when; None: there is none.

    Raises: GroupNotForMicroGrids, SecretaryNotMember.
    """
    if change.place.level is not GridLevel.GRID:
        raise GroupNotForMicroGrids
    if group is not None:
        try:
            await in_office(change, group[1], today)
        except (MemberNotFound, MemberLeft):
            raise SecretaryNotMember from None
    _set_group(change.team, group)
    facts = {"secretary_id": str(group[1]), "since": group[2].isoformat()} if group else {}
    await change.tell("set_party_group", **facts)


def _set_group(team: TeamRow, group: tuple[str, UUID, date] | None) -> None:
    team.party_group_name, team.party_secretary_id, team.party_since = group or (None, None, None)


# --- parts ---------------------------------------------------------------------------------------


def _seat(change: Change, code: str) -> Seat:
    seat = change.rules.templates[change.place.level].seat(code)
    if seat is None:
        raise SeatUnknown
    return seat


async def _add(change: Change, seat: Seat, who: Who, *, since: date) -> MemberRow:
    if who.until is not None and who.until <= since:
        raise TermEmpty
    title = who.title or seat.borne[0]
    if title not in seat.borne:
        raise SeatUnknown
    await _check_account(change.session, who.staff_id)
    if seat.is_single:
        await _check_free(change, seat, since, who.until)
    row = MemberRow(
        id=new_id(),
        grid_code=change.place.code,
        seat=seat.code,
        title=title,
        leads=seat.leads,
        single=seat.is_single,
        staff_id=who.staff_id,
        duties=_checked_duties(change.rules, who.duties),
        published=who.published,
        since=since,
        until=who.until,
        created_at=change.now,
    )
    _seal(change, row, Personal(who.name, who.phone))
    change.session.add(row)
    await change.session.flush()
    return row


async def _check_free(change: Change, seat: Seat, since: date, until: date | None) -> None:
    """Raises: SeatTaken. The caller holds the team's row."""
    held = await change.session.scalars(
        select(MemberRow).where(
            MemberRow.grid_code == change.place.code, MemberRow.seat == seat.code
        )
    )
    for row in held:
        if queries.term_of(row).overlaps(since, until):
            raise SeatTaken(member_id=str(row.id))


def _seal(change: Change, row: MemberRow, personal: Personal) -> None:
    if row.leads and personal.phone is None:
        raise LeaderPhoneMissing
    row.personal = queries.seal(change.cipher, row.id, personal)
    row.phone_index = queries.phone_key(change.cipher, personal.phone)


async def in_office(change: Change, member_id: UUID, today: date) -> MemberRow:
    """In office, or to come into it."""
    row = await queries.member(change.session, change.place.code, member_id)
    if row.until is not None and row.until <= max(today, row.since):
        raise MemberLeft
    return row


async def _check_account(session: AsyncSession, staff_id: UUID | None) -> None:
    if staff_id is not None and not await people.staff_members(session, {staff_id}):
        raise AccountUnknown


def _checked_duties(rules: TeamRules, codes: Sequence[str]) -> list[str]:
    """In the order of the city's list, each once."""
    known = rules.duty_names(codes)
    if len(known) != len(set(codes)):
        raise DutyUnknown
    return [code for code, _ in known]


def _facts(row: MemberRow) -> dict[str, object]:
    """A member as the audit says it: ids, codes and days, no name and no number."""
    return {
        "member_id": str(row.id),
        "seat": row.seat,
        "title": row.title,
        "staff_id": None if row.staff_id is None else str(row.staff_id),
        "duties": cast("list[object]", list(row.duties)),
        "published": row.published,
        "since": row.since.isoformat(),
        "until": None if row.until is None else row.until.isoformat(),
    }
