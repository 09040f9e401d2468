"""Changing the routing rules: a draft of the whole set, activated when it is right.

The active set never changes: whoever wants other rules copies it, edits the copy and activates it.
Every change has an entry in the audit, chain ``routing_rules``; an activation is announced, so that
every process chooses by it within a moment.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import orjson
from sqlalchemy import delete, func, insert, literal_column, null, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.errors import Conflict, FieldError, Invalid, NotFound, Stale
from app.domain.identity import Actor
from app.domain.routing_faults import FAULT_TEXT, REFUSED, Known, RuleFault, find_faults
from app.reference import queries
from app.reference.kinds import RuleSetState
from app.reference.models import RoutingRuleRow, RuleSetRow
from app.reference.queries import Reference
from app.reference.rule_schemas import RuleIn
from app.reference.rules import rule_of
from app.store.notices import announce

MOST_DRAFTS = 20
_AT_ONCE = 1_000
_COPIED = tuple(
    column
    for column in RoutingRuleRow.__table__.columns
    if column.name not in ("id", "set_version")
)


class RuleSetUnknown(NotFound):
    """没有这个版本的派单规则。"""

    code = "rule_set_not_found"


class RuleSetStale(Stale):
    """该版本的派单规则刚刚被修改过，请刷新后再操作。"""

    code = "stale_version"


class RuleSetClosed(Conflict):
    """只有草稿可以修改或生效。"""

    code = "rule_set_not_draft"


class RuleSetFaulty(Conflict):
    """派单规则中有错误，不能生效。"""

    code = "rule_set_faulty"


class RuleSetOutdated(Conflict):
    """草稿所依据的版本已不是现行版本，请从现行版本新建草稿。"""

    code = "rule_set_outdated"


class TooManyDrafts(Conflict):
    """草稿过多，请先作废不用的草稿。"""

    code = "rule_set_drafts"


class RulesInvalid(Invalid):
    """派单规则有误，请按提示修改。"""

    code = "routing_rules_invalid"


async def list_sets(session: AsyncSession) -> list[tuple[RuleSetRow, int]]:
    """The newest 200 versions with how many rules each has."""
    rows = await session.execute(
        select(RuleSetRow, func.count(RoutingRuleRow.id))
        .outerjoin(RoutingRuleRow, RoutingRuleRow.set_version == RuleSetRow.version)
        .group_by(RuleSetRow.version)
        .order_by(RuleSetRow.version.desc())
        .limit(200)
    )
    return [(row, count) for row, count in rows]


async def rule_set(session: AsyncSession, version: int) -> RuleSetRow:
    """Raises: RuleSetUnknown."""
    row = await session.get(RuleSetRow, version)
    if row is None:
        raise RuleSetUnknown
    return row


async def active_set(session: AsyncSession) -> RuleSetRow:
    """Raises: RuleSetUnknown: nothing was seeded."""
    row = await session.scalar(select(RuleSetRow).where(RuleSetRow.state == RuleSetState.ACTIVE))
    if row is None:
        raise RuleSetUnknown
    return row


async def count_rules(session: AsyncSession, version: int) -> int:
    counted = await session.scalar(
        select(func.count())
        .select_from(RoutingRuleRow)
        .where(RoutingRuleRow.set_version == version)
    )
    return int(counted or 0)


async def rules(
    session: AsyncSession, version: int, *, after: int = 0, limit: int | None = None
) -> Sequence[RoutingRuleRow]:
    """The rules of a version in the order of their ids."""
    found = await session.scalars(
        select(RoutingRuleRow)
        .where(RoutingRuleRow.set_version == version, RoutingRuleRow.id > after)
        .order_by(RoutingRuleRow.id)
        .limit(limit)
    )
    return found.all()


async def create_draft(
    session: AsyncSession, *, note: str, actor: Actor, now: datetime
) -> RuleSetRow:
    """A new version with the rules of the active one. Raises: TooManyDrafts, RuleSetUnknown."""
    await _lock(session)
    base = await active_set(session)
    drafts = await session.scalar(
        select(func.count()).select_from(RuleSetRow).where(RuleSetRow.state == RuleSetState.DRAFT)
    )
    if (drafts or 0) >= MOST_DRAFTS:
        raise TooManyDrafts
    newest = await session.scalar(select(func.max(RuleSetRow.version)))
    row = RuleSetRow(
        version=(newest or 0) + 1,
        state=RuleSetState.DRAFT,
        revision=1,
        base_version=base.version,
        note=note,
        created_at=now,
        created_by=actor.id,
        changed_at=now,
    )
    session.add(row)
    await session.flush()
    copied = (
        select(literal_column(str(row.version)), *_COPIED)
        .where(RoutingRuleRow.set_version == base.version)
        .order_by(RoutingRuleRow.id)
    )
    await session.execute(
        insert(RoutingRuleRow).from_select(
            ["set_version", *(it.name for it in _COPIED)], copied, include_defaults=False
        )
    )
    facts = {"set_version": row.version, "base_version": base.version}
    await _tell(session, "draft_routing_rules", facts, actor, now)
    return row


async def put_rules(
    session: AsyncSession,
    reference: Reference,
    version: int,
    wanted: Sequence[RuleIn],
    *,
    keep_all_but: Collection[int] | None = None,
    revision: int,
    actor: Actor,
    now: datetime,
) -> RuleSetRow:
    """Replace the rules of a draft. Ties go to the rule that is said first.

    Args:
        keep_all_but: the ids of those to take out; None: all of them.

    Raises: RuleSetUnknown, RuleSetClosed, RuleSetStale; RulesInvalid: a category or a unit that
        there is not.
    """
    row = await _draft(session, version, revision)
    _require_codes(reference, wanted)
    before = {_words(it) for it in await rules(session, version)}
    replaced = RoutingRuleRow.set_version == version
    if keep_all_but is not None:
        replaced &= RoutingRuleRow.id.in_(keep_all_but)
    await session.execute(delete(RoutingRuleRow).where(replaced))
    said = [rule.columns() for rule in wanted]
    for start in range(0, len(said), _AT_ONCE):
        batch = [{"set_version": version, **it} for it in said[start : start + _AT_ONCE]]
        for it in batch:
            it["time_window"] = null() if it["time_window"] is None else it["time_window"]
        await session.execute(insert(RoutingRuleRow).values(batch))
    row.revision += 1
    row.changed_at = now
    await session.flush()
    after = {_words(it) for it in await rules(session, version)}
    facts = {
        "set_version": version,
        "revision": row.revision,
        "rules": len(after),
        "digest": hashlib.sha256(orjson.dumps(sorted(after))).hexdigest(),
        "added": sorted(after - before)[:500],
        "removed": sorted(before - after)[:500],
    }
    await _tell(session, "change_routing_rules", facts, actor, now)
    return row


async def discard(
    session: AsyncSession, version: int, *, revision: int, actor: Actor, now: datetime
) -> RuleSetRow:
    """A draft that nobody wants. Raises: RuleSetUnknown, RuleSetClosed, RuleSetStale."""
    row = await _draft(session, version, revision)
    row.state, row.revision, row.changed_at = RuleSetState.DISCARDED, row.revision + 1, now
    await session.flush()
    await _tell(session, "discard_routing_rules", {"set_version": version}, actor, now)
    return row


async def faults(
    session: AsyncSession, version: int, known: Known, *, today: date
) -> list[RuleFault]:
    """What is wrong with the rules of a version, in the present city."""
    found = await rules(session, version)
    return find_faults([rule_of(row) for row in found if row.active], known, today=today)


async def activate(
    session: AsyncSession,
    version: int,
    known: Known,
    *,
    revision: int,
    today: date,
    actor: Actor,
    now: datetime,
) -> RuleSetRow:
    """From the commit on every process chooses by this version.

    Raises: RuleSetUnknown, RuleSetClosed, RuleSetStale; RuleSetOutdated: another version was
        activated since the draft was made; RuleSetFaulty: ``faults`` names what must be mended.
    """
    await _lock(session)
    row = await _draft(session, version, revision)
    active = await active_set(session)
    if row.base_version != active.version:
        raise RuleSetOutdated(active_version=active.version)
    wrong = [it for it in await faults(session, version, known, today=today) if it.kind in REFUSED]
    if wrong:
        raise RuleSetFaulty(
            "；".join(it.text for it in wrong[:5]) + "。",
            faults=[
                {"kind": it.kind, "kind_text": FAULT_TEXT[it.kind], "rule_ids": list(it.rule_ids),
                 "text": it.text}
                for it in wrong[:100]
            ],
        )  # fmt: skip
    active.state, active.changed_at = RuleSetState.RETIRED, now
    await session.flush()
    row.state, row.revision = RuleSetState.ACTIVE, row.revision + 1
    row.changed_at = row.activated_at = now
    row.activated_by = actor.id
    await session.flush()
    facts = {
        "set_version": version,
        "retired_version": active.version,
        "rules": await count_rules(session, version),
    }
    await _tell(session, "activate_routing_rules", facts, actor, now)
    await announce(session, queries.TOPIC)
    return row


async def _lock(session: AsyncSession) -> None:
    """Until the end of the transaction nobody else makes or activates a version."""
    await session.execute(text("LOCK TABLE routing_rule_sets IN SHARE ROW EXCLUSIVE MODE"))


async def _draft(session: AsyncSession, version: int, revision: int) -> RuleSetRow:
    row = await session.scalar(
        select(RuleSetRow).where(RuleSetRow.version == version).with_for_update()
    )
    if row is None:
        raise RuleSetUnknown
    if row.revision != revision:
        raise RuleSetStale(version=row.revision)
    if row.state is not RuleSetState.DRAFT:
        raise RuleSetClosed(state=row.state)
    return row


def _words(row: RoutingRuleRow) -> str:
    """A rule in one line, for the audit."""
    scope = f"{row.category_code or '*'}@{row.grid_code or '*'}"
    kind = f" {row.kind}" if row.kind else ""
    window = f" {orjson.dumps(row.time_window).decode()}" if row.time_window else ""
    more = "".join(f"+{code}" for code in row.co_unit_codes)
    policy = f" policy={row.policy_code}" if row.policy_code else ""
    first = f" grid_first={row.grid_first_minutes}" if row.grid_first_minutes else ""
    return f"{scope}{kind}{window} -> {row.unit_code}{more}{policy}{first} p={row.priority}"


def _require_codes(reference: Reference, wanted: Sequence[RuleIn]) -> None:
    wrong: list[FieldError] = []
    for position, rule in enumerate(wanted):
        if rule.category_code is not None and rule.category_code not in reference.categories:
            wrong.append(
                FieldError(f"/rules/{position}/category_code", "category_unknown", "没有这个类别")
            )
        if rule.unit_code not in reference.units:
            wrong.append(FieldError(f"/rules/{position}/unit_code", "unit_unknown", "没有这个单位"))
    if wrong:
        raise RulesInvalid(errors=wrong[:100])


async def _tell(
    session: AsyncSession, action: str, facts: Mapping[str, object], actor: Actor, now: datetime
) -> None:
    await audit.append(
        session, chain_of("routing_rules"), actor=actor, action=action, facts=facts, now=now
    )
