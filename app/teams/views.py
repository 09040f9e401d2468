"""Teams as the API shows them: what is masked, and what was published."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

from app.domain import privacy
from app.domain.teams import Found
from app.grids.queries import GridIndex, GridNode
from app.store.crypto import FieldCipher
from app.teams import queries
from app.teams.models import HandoverRow, MemberRow, PlaqueRow, TeamRow
from app.teams.plaques import Published, scene_of
from app.teams.queries import Team
from app.teams.rules import TeamRules
from app.teams.schemas import (
    DutyOut,
    HandoverOut,
    HandoverRef,
    LeaderOut,
    MemberOut,
    PartyGroupOut,
    PlaceOut,
    PlaqueOut,
    PublicPlaqueOut,
    RulesOut,
    SeatOut,
    ShownOut,
    TeamChangedOut,
    TeamOut,
    TeamSummaryOut,
    TemplateOut,
    WarningOut,
)

PLAQUE_PATH = "/plaques/"


def place_view(grids: GridIndex, place: GridNode) -> PlaceOut:
    return PlaceOut(
        code=place.code,
        name=place.name,
        path=place.name_path,
        level=place.level,
        level_text=grids.level_text(place.level, place.code),
    )


def warnings_view(found: Iterable[Found]) -> list[WarningOut]:
    return [
        WarningOut(
            code=it.fault,
            text=it.text,
            seat=it.seat,
            member_ids=[str(member_id) for member_id in it.member_ids],
            places=list(it.places),
        )
        for it in found
    ]


def member_view(cipher: FieldCipher, rules: TeamRules, row: MemberRow, *, on: date) -> MemberOut:
    """A member. What was published is clear: the name, and of who leads the number too."""
    personal = queries.unseal(cipher, row)
    phone, shows_phone = personal.phone, row.published and row.leads
    return MemberOut(
        id=str(row.id),
        seat=row.seat,
        title=row.title,
        leads=row.leads,
        name=personal.name if row.published else privacy.mask_name(personal.name),
        phone=phone if phone is None or shows_phone else privacy.mask_phone(phone),
        published=row.published,
        staff_id=None if row.staff_id is None else str(row.staff_id),
        duties=[DutyOut(code=code, name=name) for code, name in rules.duty_names(row.duties)],
        since=row.since,
        until=row.until,
        in_office=queries.term_of(row).holds_on(on),
    )


def team_view(
    cipher: FieldCipher,
    grids: GridIndex,
    rules: TeamRules,
    team: Team,
    *,
    former: Sequence[MemberRow] | None,
    base_url: str,
    on: date,
) -> TeamOut:
    def shown(rows: Iterable[MemberRow]) -> list[MemberOut]:
        return [member_view(cipher, rules, row, on=on) for row in rows]

    return TeamOut(
        grid=place_view(grids, team.place),
        version=team.version,
        template_version=rules.templates[team.place.level].version,
        members=shown(team.members),
        former=None if former is None else shown(former),
        party_group=_group_view(team.party_group),
        plaque=plaque_view(team.plaque, base_url),
        warnings=warnings_view(team.faults),
    )


def _group_view(row: TeamRow | None) -> PartyGroupOut | None:
    if row is None or row.party_group_name is None or row.party_since is None:
        return None
    return PartyGroupOut(
        name=row.party_group_name,
        secretary_id=str(row.party_secretary_id),
        since=row.party_since,
    )


def plaque_view(row: PlaqueRow | None, base_url: str) -> PlaqueOut | None:
    if row is None:
        return None
    return PlaqueOut(
        id=row.id,
        url=plaque_url(base_url, row.id),
        scene=scene_of(row.id),
        issued_at=row.issued_at,
    )


def plaque_url(base_url: str, plaque_id: str) -> str:
    return f"{base_url}{PLAQUE_PATH}{plaque_id}"


def summary_view(grids: GridIndex, team: Team, *, on: date) -> TeamSummaryOut:
    present = [row for row in team.members if queries.term_of(row).holds_on(on)]
    return TeamSummaryOut(
        grid=place_view(grids, team.place),
        version=team.version,
        members=dict(Counter(row.seat for row in present)),
        has_plaque=team.plaque is not None,
        warnings=warnings_view(team.faults),
    )


def changed_view(
    team: Team,
    *,
    base_url: str,
    member: MemberRow | None = None,
    handover: HandoverRow | None = None,
) -> TeamChangedOut:
    return TeamChangedOut(
        grid_code=team.place.code,
        version=team.version,
        member_id=None if member is None else str(member.id),
        handover_id=None if handover is None else str(handover.id),
        open_requests=None if handover is None else len(handover.request_ids),
        plaque=plaque_view(team.plaque, base_url),
        warnings=warnings_view(team.faults),
    )


def handover_ref(
    grids: GridIndex, row: HandoverRow, successor: UUID | None, actor_id: UUID
) -> HandoverRef:
    return HandoverRef(
        id=str(row.id),
        version=row.version,
        grid=place_view(grids, queries.place_of(grids, row.grid_code)),
        created_at=row.created_at,
        open_requests=len(row.request_ids),
        acknowledged_at=row.acknowledged_at,
        superseded_at=row.superseded_at,
        mine=successor == actor_id,
    )


def handover_view(
    grids: GridIndex,
    row: HandoverRow,
    successor: UUID | None,
    actor_id: UUID,
    *,
    still_open: int,
) -> HandoverOut:
    ref = handover_ref(grids, row, successor, actor_id)
    return HandoverOut(
        **ref.model_dump(exclude={"grid"}),
        grid=ref.grid,
        from_member_id=str(row.from_member_id),
        to_member_id=str(row.to_member_id),
        by_state=row.states,
        request_ids=[str(request_id) for request_id in row.request_ids],
        still_open=still_open,
    )


def rules_view(rules: TeamRules) -> RulesOut:
    return RulesOut(
        templates=[
            TemplateOut(
                level=template.level,
                version=template.version,
                name=template.name,
                seats=[
                    SeatOut(
                        code=seat.code,
                        name=seat.name,
                        least=seat.least,
                        most=seat.most,
                        leads=seat.leads,
                        titles=list(seat.borne),
                    )
                    for seat in template.seats
                ],
            )
            for template in rules.templates.values()
        ],
        duties=[DutyOut(code=duty.code, name=duty.name) for duty in rules.duties],
        duties_version=rules.duties_version,
    )


def public_view(shown: Published) -> PublicPlaqueOut:
    leader = shown.leader
    return PublicPlaqueOut(
        grid_code=shown.grid_code,
        place=shown.place,
        path=shown.name_path,
        level_text=shown.level_text,
        leader=leader and LeaderOut(title=leader.title, name=leader.name, phone=leader.phone),
        others=[
            ShownOut(title=it.title, names=list(it.names), unnamed=it.unnamed)
            for it in shown.others
        ],
        duties=list(shown.duties),
        party_group=shown.party_group,
        issued_at=shown.issued_at,
    )
