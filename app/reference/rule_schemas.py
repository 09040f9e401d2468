"""What crosses the wire about routing rules and their versions."""

from datetime import date, time
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from app.domain.matters import Kind
from app.domain.routing import GRID_FIRST_AT_MOST_MINUTES, TimeWindow
from app.domain.routing_faults import FaultKind
from app.reference.kinds import RuleSetState
from app.reference.rules import window_words
from app.web.wire import Day, Instant, WireIn, WireOut, line

MOST_RULES = 5_000
Code = Annotated[str, line(60)]
RuleId = Annotated[int, Field(ge=1, le=2**31 - 1)]
Weekday = Annotated[int, Field(ge=1, le=7)]


def _time_of_day(value: str) -> str:
    try:
        if len(value) == 5:
            time.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise PydanticCustomError("time_invalid", "时刻格式应为 08:30")


TimeOfDay = Annotated[
    str,
    AfterValidator(_time_of_day),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]


class WindowIn(WireIn):
    """When a rule holds, local time; ``weekdays`` 1 (Monday) … 7, both days of validity meant
    whole. ``closes`` before ``opens`` is past midnight."""

    weekdays: Annotated[list[Weekday], Field(max_length=7, default_factory=list)]
    opens: TimeOfDay | None = None
    closes: TimeOfDay | None = None
    valid_from: Day | None = None
    valid_to: Day | None = None

    def window(self) -> TimeWindow:
        return TimeWindow(
            weekdays=tuple(sorted(set(self.weekdays))),
            opens=None if self.opens is None else time.fromisoformat(self.opens),
            closes=None if self.closes is None else time.fromisoformat(self.closes),
            valid_from=self.valid_from,
            valid_to=self.valid_to,
        )


class RuleIn(WireIn):
    """What a rule holds for, and who then answers. What is not given does not limit it."""

    unit_code: Code
    category_code: Code | None = None
    grid_code: Annotated[str, Field(pattern=r"^[0-9]{9,17}$")] | None = None
    kind: Kind | None = None
    window: WindowIn | None = None
    co_unit_codes: Annotated[list[Code], Field(max_length=5, default_factory=list)]
    policy_code: Code | None = None
    grid_first_minutes: Annotated[int, Field(ge=0, le=GRID_FIRST_AT_MOST_MINUTES)] = 0
    priority: Annotated[int, Field(ge=-1_000, le=1_000)] = 0
    note: Annotated[str, line(200)] | None = None

    def columns(self) -> dict[str, Any]:
        """The columns of its row."""
        window = self.window.window() if self.window else TimeWindow()
        return {
            "category_code": self.category_code,
            "grid_code": self.grid_code,
            "kind": self.kind,
            "time_window": None if window == TimeWindow() else window_words(window),
            "unit_code": self.unit_code,
            "co_unit_codes": self.co_unit_codes,
            "policy_code": self.policy_code,
            "grid_first_minutes": self.grid_first_minutes,
            "priority": self.priority,
            "active": True,
            "note": self.note or "",
        }


class RulesIn(WireIn):
    """Either all ``rules`` of the draft, or what changes: ``remove`` these ids, ``add`` those."""

    rules: Annotated[list[RuleIn], Field(max_length=MOST_RULES)] | None = None
    add: Annotated[list[RuleIn], Field(max_length=MOST_RULES, default_factory=list)]
    remove: Annotated[list[RuleId], Field(max_length=MOST_RULES, default_factory=list)]

    @model_validator(mode="after")
    def _one_of_both(self) -> "RulesIn":
        if self.rules is not None and (self.add or self.remove):
            raise PydanticCustomError("rules_or_changes", "整套规则与增删不能同时提交")
        return self


class DraftIn(WireIn):
    note: Annotated[str, line(200)] | None = None


class RuleSetOut(WireOut):
    """``revision`` is what ``If-Match`` compares; it is also the answer's ETag."""

    set_version: int
    version: int
    state: RuleSetState
    state_text: str
    base_version: int | None
    note: str
    rules: int
    created_at: Instant
    changed_at: Instant
    activated_at: Instant | None


class RuleSetsOut(WireOut):
    items: tuple[RuleSetOut, ...]


class WindowOut(WireOut):
    weekdays: tuple[int, ...]
    opens: str | None
    closes: str | None
    valid_from: date | None
    valid_to: date | None


class RuleOut(WireOut):
    id: int
    unit_code: str
    unit_name: str
    category_code: str | None
    category_name: str | None
    grid_code: str | None
    kind: Kind | None
    window: WindowOut | None
    co_unit_codes: tuple[str, ...]
    policy_code: str | None
    grid_first_minutes: int
    priority: int
    active: bool
    note: str


class RulesOut(WireOut):
    items: tuple[RuleOut, ...]
    next_after: int | None


class FaultOut(WireOut):
    """``refused``: a set with such a fault cannot be activated."""

    kind: FaultKind
    kind_text: str
    refused: bool
    rule_ids: tuple[int, ...]
    text: str


class FaultsOut(WireOut):
    set_version: int
    checked: int
    total: int
    items: tuple[FaultOut, ...]
