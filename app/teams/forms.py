"""What is sent to change teams and what a city wants of them."""

from typing import Annotated

from pydantic import Field

from app.domain.teams import Duty, Seat
from app.teams.service import Who
from app.web.wire import Day, Id, Line, PersonName, PhoneNumber, WireIn, line, prose

Word = Annotated[str, line(20)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,29}$")]
DutyCodes = Annotated[list[Key], Field(max_length=20)]


class WhoIn(WireIn):
    """A person. ``phone`` is a work telephone: of who leads it may be published on the plaque.

    ``published``: the person has agreed that the name, and of who leads the number, is public.
    ``title``: one of those the seat has; the first if none is said.
    """

    name: PersonName
    phone: PhoneNumber | None = None
    staff_id: Id | None = None
    title: Word | None = None
    duties: DutyCodes = Field(default_factory=list)
    published: bool = False
    until: Day | None = None

    def who(self) -> Who:
        return Who(
            name=self.name,
            phone=self.phone,
            staff_id=self.staff_id,
            title=self.title,
            duties=self.duties,
            published=self.published,
            until=self.until,
        )


class AppointIn(WhoIn):
    """In office from ``since`` until the day before ``until``."""

    seat: Key
    since: Day


class EndIn(WireIn):
    """``until``: the first day out of office, and the successor's first day in it."""

    until: Day
    successor: WhoIn | None = None


class AmendIn(WireIn):
    """Whatever is sent is changed. ``phone`` and ``staff_id`` may be null: none."""

    name: PersonName | None = None
    phone: PhoneNumber | None = None
    staff_id: Id | None = None
    duties: DutyCodes | None = None
    published: bool | None = None


class GroupIn(WireIn):
    name: Word
    secretary_id: Id
    since: Day


class PartyGroupIn(WireIn):
    """``group`` null: there is none."""

    group: GroupIn | None


class RevealIn(WireIn):
    reason: Annotated[str, prose(200)]


class SeatIn(WireIn):
    code: Key
    name: Word
    least: Annotated[int, Field(ge=0, le=100)]
    most: Annotated[int, Field(ge=1, le=100)] | None = None
    leads: bool = False
    titles: Annotated[list[Word], Field(max_length=10)] = Field(default_factory=list)

    def seat(self) -> Seat:
        titles = tuple(dict.fromkeys(self.titles))
        return Seat(self.code, self.name, self.least, self.most, self.leads, titles)


class TemplateIn(WireIn):
    name: Line
    seats: Annotated[list[SeatIn], Field(min_length=1, max_length=12)]


class DutyIn(WireIn):
    code: Key
    name: Word

    def duty(self) -> Duty:
        return Duty(self.code, self.name)


class DutiesIn(WireIn):
    duties: Annotated[list[DutyIn], Field(min_length=1, max_length=20)]
