"""What crosses the wire about routing: what another set of rules would do, and proposals."""

from typing import Annotated

from pydantic import Field

from app.web.wire import Instant, WireOut


class UnitRefOut(WireOut):
    code: str
    name: str


class WayOut(WireOut):
    """None: a dispatcher decides."""

    from_unit: UnitRefOut | None
    to_unit: UnitRefOut | None
    count: int


class MovedOut(WireOut):
    """A request that would go elsewhere. No text, no person, no point."""

    id: str
    number: str
    state: str
    submitted_at: Instant
    category_code: str | None
    grid_code: str | None
    from_unit: UnitRefOut | None
    from_rule: int | None
    to_unit: UnitRefOut | None
    to_rule: int | None


class DryRunOut(WireOut):
    """``moved``, ``otherwise`` and ``ways`` count all requests of the days, on the first page only:
    the others look at no more than they list (``examined``)."""

    set_version: int
    against_version: int
    days: int
    examined: int
    moved: int | None
    otherwise: int | None
    ways: tuple[WayOut, ...]
    items: tuple[MovedOut, ...]
    next_cursor: str | None


class ProposalOut(WireOut):
    """``cases`` of the ``of`` earlier ones that agree in ``level`` went to this unit."""

    unit: UnitRefOut
    confidence: Annotated[float, Field(ge=0, le=1)]
    level: tuple[str, ...]
    level_text: str
    cases: int
    of: int


class SuggestionsOut(WireOut):
    """``needed``: no rule named a unit. ``model_version`` 0: by counts alone."""

    request_id: str
    needed: bool
    model_version: int
    items: tuple[ProposalOut, ...]
