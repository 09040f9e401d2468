"""What a city wants of its teams: the two templates and the list of duties, version by version.

A version is a row that never changes. What nobody has changed is version 1, as the house has it
(``domain.teams``); ``seed`` writes it down, and so does the first change of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.errors import Invalid, Stale
from app.domain.grid_codes import GridLevel
from app.domain.identity import SYSTEM, Actor
from app.domain.teams import DUTIES, TEMPLATES, Duty, Seat, Template
from app.teams.kinds import TEMPLATE_RULES, RuleName
from app.teams.models import TeamRuleRow

CHAIN = chain_of("team_rules")
_FIRST = 1
_NEWEST = (
    select(TeamRuleRow)
    .ext(distinct_on(TeamRuleRow.name))
    .order_by(TeamRuleRow.name, TeamRuleRow.version.desc())
)


class TemplateUnfit(Invalid):
    """队伍模板有误：岗位编码不能重复，人数下限不能大于上限，且须有唯一的一个负责岗位，定员一人。"""

    code = "team_template_unfit"


class DutiesUnfit(Invalid):
    """职责清单有误：编码和名称不能重复。"""

    code = "team_duties_unfit"


@dataclass(frozen=True, slots=True)
class TeamRules:
    """What holds now."""

    templates: Mapping[GridLevel, Template]
    duties: tuple[Duty, ...]
    duties_version: int

    def duty_names(self, codes: Sequence[str]) -> list[tuple[str, str]]:
        """Those of ``codes`` that are duties now, with their names, in the order of the list."""
        return [(duty.code, duty.name) for duty in self.duties if duty.code in codes]


async def current(session: AsyncSession) -> TeamRules:
    """The highest version of each document."""
    rows = {row.name: row for row in await session.scalars(_NEWEST)}
    duties = rows.get(RuleName.DUTIES)
    return TeamRules(
        templates={
            level: TEMPLATES[level]
            if name not in rows
            else _template(level, rows[name].version, rows[name].content)
            for level, name in TEMPLATE_RULES.items()
        },
        duties=DUTIES if duties is None else tuple(Duty(**it) for it in duties.content["duties"]),
        duties_version=_FIRST if duties is None else duties.version,
    )


def _template(level: GridLevel, version: int, content: Mapping[str, Any]) -> Template:
    seats = tuple(Seat(**{**seat, "titles": tuple(seat["titles"])}) for seat in content["seats"])
    return Template(level, version, content["name"], seats)


async def seed(session: AsyncSession, *, now: datetime) -> None:
    """Write the first version of every document down, where it is not."""
    for name in RuleName:
        await _add(session, name, _FIRST, _first_content(name), actor=SYSTEM, now=now)


def _first_content(name: RuleName) -> dict[str, Any]:
    for level, rule in TEMPLATE_RULES.items():
        if rule is name:
            return _content_of(TEMPLATES[level].name, TEMPLATES[level].seats)
    return {"duties": [asdict(duty) for duty in DUTIES]}


def _content_of(name: str, seats: Sequence[Seat]) -> dict[str, Any]:
    return {
        "name": name,
        "seats": [{**asdict(seat), "titles": list(seat.titles)} for seat in seats],
    }


async def set_template(
    session: AsyncSession,
    level: GridLevel,
    name: str,
    seats: Sequence[Seat],
    *,
    version: int,
    actor: Actor,
    now: datetime,
) -> None:
    """Add the next version of a template. Teams stay as they are; what they lack is told anew.

    Args:
        version: the one that was looked at.

    Raises: TemplateUnfit, Stale.
    """
    leading = [seat for seat in seats if seat.leads]
    if (
        len({seat.code for seat in seats}) != len(seats)
        or any(seat.most is not None and seat.least > seat.most for seat in seats)
        or len(leading) != 1
        or not leading[0].is_single
    ):
        raise TemplateUnfit
    await _next(session, TEMPLATE_RULES[level], _content_of(name, seats), version, actor, now)


async def set_duties(
    session: AsyncSession, duties: Sequence[Duty], *, version: int, actor: Actor, now: datetime
) -> None:
    """Add the next version of the list of duties. Raises: DutiesUnfit, Stale."""
    if len({it.code for it in duties}) != len(duties) or len({it.name for it in duties}) != len(
        duties
    ):
        raise DutiesUnfit
    content = {"duties": [asdict(duty) for duty in duties]}
    await _next(session, RuleName.DUTIES, content, version, actor, now)


async def _next(
    session: AsyncSession,
    name: RuleName,
    content: dict[str, Any],
    version: int,
    actor: Actor,
    now: datetime,
) -> None:
    if version == _FIRST:
        await _add(session, name, _FIRST, _first_content(name), actor=SYSTEM, now=now)
    newest = await session.scalar(
        select(TeamRuleRow.version)
        .where(TeamRuleRow.name == name)
        .order_by(TeamRuleRow.version.desc())
        .limit(1)
    )
    # Of two at once the second waits for the first, and then finds the version taken.
    if (newest or _FIRST) != version or not await _add(
        session, name, version + 1, content, actor=actor, now=now
    ):
        raise Stale


async def _add(
    session: AsyncSession,
    name: RuleName,
    version: int,
    content: dict[str, Any],
    *,
    actor: Actor,
    now: datetime,
) -> bool:
    """Whether this version was not there yet."""
    added = await session.scalar(
        insert(TeamRuleRow)
        .values(name=name, version=version, content=content, created_at=now, created_by=actor.id)
        .on_conflict_do_nothing()
        .returning(TeamRuleRow.version)
    )
    if added is None:
        return False
    facts = {"name": name.value, "rule_version": version, "content": content}
    await audit.append(session, CHAIN, actor=actor, action="set_team_rule", facts=facts, now=now)
    return True
