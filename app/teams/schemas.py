"""What is answered about teams. Names and numbers are masked unless they were published."""

from datetime import date

from app.domain.grid_codes import GridLevel
from app.domain.teams import Fault
from app.web.wire import Instant, WireOut


class PlaceOut(WireOut):
    code: str
    name: str
    path: str
    level: GridLevel
    level_text: str


class WarningOut(WireOut):
    """Something that is not as it should be. ``places``: codes of other places it is about."""

    code: Fault
    text: str
    seat: str | None
    member_ids: list[str]
    places: list[str]


class DutyOut(WireOut):
    code: str
    name: str


class MemberOut(WireOut):
    """``until``: the first day out of office; null while there is none."""

    id: str
    seat: str
    title: str
    leads: bool
    name: str
    phone: str | None
    published: bool
    staff_id: str | None
    duties: list[DutyOut]
    since: date
    until: date | None
    in_office: bool


class PartyGroupOut(WireOut):
    name: str
    secretary_id: str
    since: date


class PlaqueOut(WireOut):
    """``url``: what the printed QR code says. ``scene``: the same for a mini-program's own code."""

    id: str
    url: str
    scene: str
    issued_at: Instant


class TeamOut(WireOut):
    """A team today, with those appointed for later; ``former``: who has left, if asked for."""

    grid: PlaceOut
    version: int
    template_version: int
    members: list[MemberOut]
    former: list[MemberOut] | None
    party_group: PartyGroupOut | None
    plaque: PlaqueOut | None
    warnings: list[WarningOut]


class TeamSummaryOut(WireOut):
    """``members``: how many are in office, by seat."""

    grid: PlaceOut
    version: int
    members: dict[str, int]
    has_plaque: bool
    warnings: list[WarningOut]


class TeamPage(WireOut):
    items: list[TeamSummaryOut]
    next_cursor: str | None


class TeamChangedOut(WireOut):
    """What a change of a team is answered with. No person in it: it is kept for replay."""

    grid_code: str
    version: int
    member_id: str | None
    handover_id: str | None
    open_requests: int | None
    plaque: PlaqueOut | None
    warnings: list[WarningOut]


class PersonalOut(WireOut):
    name: str
    phone: str | None


class HandoverOut(WireOut):
    """``request_ids``: open at ``created_at``; ``still_open``: how many of them are now."""

    id: str
    version: int
    grid: PlaceOut
    from_member_id: str
    to_member_id: str
    created_at: Instant
    open_requests: int
    by_state: dict[str, int]
    request_ids: list[str]
    still_open: int
    acknowledged_at: Instant | None
    superseded_at: Instant | None
    mine: bool


class HandoverRef(WireOut):
    id: str
    version: int
    grid: PlaceOut
    created_at: Instant
    open_requests: int
    acknowledged_at: Instant | None
    superseded_at: Instant | None
    mine: bool


class HandoverPage(WireOut):
    items: list[HandoverRef]
    next_cursor: str | None


class SeatOut(WireOut):
    """``most`` null: any number."""

    code: str
    name: str
    least: int
    most: int | None
    leads: bool
    titles: list[str]


class TemplateOut(WireOut):
    level: GridLevel
    version: int
    name: str
    seats: list[SeatOut]


class RulesOut(WireOut):
    """Each template, and the list of duties, has a version of its own: send it to change it."""

    templates: list[TemplateOut]
    duties: list[DutyOut]
    duties_version: int


class ShownOut(WireOut):
    title: str
    names: list[str]
    unnamed: int


class LeaderOut(WireOut):
    title: str
    name: str | None
    phone: str | None


class PublicPlaqueOut(WireOut):
    """All that anybody may know of a team."""

    grid_code: str
    place: str
    path: str
    level_text: str
    leader: LeaderOut | None
    others: list[ShownOut]
    duties: list[str]
    party_group: str | None
    issued_at: Instant
