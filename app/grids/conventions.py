"""What a city calls its levels, and how many households it wants in a place: two small tables.

胶州市 says 镇街、新村、网格; 大场镇 says 镇、社区、网格、微网格. A row holds for all codes that
begin with its scope; the narrowest scope wins.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.coverage import LoadRule
from app.domain.errors import Invalid
from app.domain.grid_codes import is_code
from app.domain.identity import SYSTEM, Actor
from app.grids.kinds import GridLevel
from app.grids.models import LevelNameRow, LoadRuleRow
from app.grids.queries import TOPIC
from app.grids.service import CHAIN
from app.store.notices import announce

NAME_LIMIT = 10
_NAME = insert(LevelNameRow)
_NAME = _NAME.on_conflict_do_update(
    index_elements=[LevelNameRow.scope, LevelNameRow.level], set_={"name": _NAME.excluded.name}
)
_RULE = insert(LoadRuleRow)
_RULE = _RULE.on_conflict_do_update(
    index_elements=[LoadRuleRow.scope, LoadRuleRow.level],
    set_={"least": _RULE.excluded.least, "most": _RULE.excluded.most},
)


class ScopeInvalid(Invalid):
    """适用范围应为行政区划或网格的编码。"""

    code = "grid_scope_invalid"


class LevelNameInvalid(Invalid):
    """层级名称应为1至10个字的一行文字。"""

    code = "grid_level_name_invalid"


class LoadRuleInvalid(Invalid):
    """户数范围有误：至少填一个，且下限不大于上限。"""

    code = "grid_load_rule_invalid"


async def name_levels(
    session: AsyncSession,
    scope: str,
    names: Mapping[GridLevel, str],
    *,
    actor: Actor = SYSTEM,
    now: datetime,
) -> None:
    """Say what levels are called below ``scope`` ("": everywhere).

    Raises: ScopeInvalid, LevelNameInvalid.
    """
    _require_scope(scope)
    for name in names.values():
        if not (0 < len(name.strip()) <= NAME_LIMIT and name.isprintable()):
            raise LevelNameInvalid
    rows = [{"scope": scope, "level": level, "name": name.strip()} for level, name in names.items()]
    if not rows:
        raise LevelNameInvalid
    await session.execute(_NAME, rows)
    facts = {"scope": scope, "names": {level.value: name for level, name in names.items()}}
    await audit.append(session, CHAIN, actor=actor, action="name_levels", facts=facts, now=now)
    await announce(session, TOPIC)


async def rule_load(
    session: AsyncSession, rule: LoadRule, *, actor: Actor = SYSTEM, now: datetime
) -> None:
    """Say how many households a place of a level should have. Raises: ScopeInvalid,
    LoadRuleInvalid."""
    _require_scope(rule.scope)
    bounds = [bound for bound in (rule.least, rule.most) if bound is not None]
    if not bounds or bounds != sorted(bounds) or not 0 <= bounds[0] <= bounds[-1] < 10**6:
        raise LoadRuleInvalid
    row = {"scope": rule.scope, "level": rule.level, "least": rule.least, "most": rule.most}
    await session.execute(_RULE, row)
    facts = {**row, "level": rule.level.value}
    await audit.append(session, CHAIN, actor=actor, action="rule_load", facts=facts, now=now)
    await announce(session, TOPIC)


def _require_scope(scope: str) -> None:
    if scope and not is_code(scope):
        raise ScopeInvalid
