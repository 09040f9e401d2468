"""The reference data a new city starts with. What is already there is left as the city has it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.identity import SYSTEM
from app.domain.sla import Policy
from app.reference import queries, service
from app.reference.kinds import RuleSetState
from app.reference.models import CategoryRow, PolicyRow, RoutingRuleRow, RuleSetRow, UnitRow
from app.reference.seeds_calendar import NOTICES
from app.reference.seeds_city import (
    CATEGORIES,
    POLICIES,
    TOWNS,
    UNITS,
    town_unit_code,
    village_matters,
)
from app.store.base import Base
from app.store.notices import announce


async def seed(session: AsyncSession, *, now: datetime) -> None:
    """Insert units, policies, categories, routing rules and the calendar 2019-2026.

    What was added is told in the audit, a chain for each table.

    Idempotent: a second call changes nothing, and nothing that the city has edited is overwritten.
    """
    await service.lock_calendars(session)  # two seeding processes take turns
    added: dict[UUID, dict[str, object]] = {}
    for table, rows in (
        (UnitRow, _units()),
        (PolicyRow, [_policy(policy, now) for policy in POLICIES]),
        (CategoryRow, _categories()),
        (RuleSetRow, _rule_sets(now)),
        (RoutingRuleRow, _rules()),
    ):
        keys = await _insert(session, table, rows)
        if table is RuleSetRow and not keys:
            break  # the city has rules, whichever they are by now
        if keys and table is not RuleSetRow:  # the set is told with its rules
            added[chain_of(table.__tablename__)] = {"added": keys}
    await audit.append_each(session, added, actor=SYSTEM, action="seed_reference", now=now)
    if await queries.newest_calendar(session) is None:
        await service.publish_notices(session, NOTICES, now=now)
    elif added:
        await announce(session, queries.TOPIC)


async def _insert(
    session: AsyncSession, table: type[Base], rows: list[dict[str, Any]]
) -> list[list[str | int]]:
    """Insert what is new, in one statement; the primary keys of it."""
    new = insert(table).on_conflict_do_nothing().values(rows)
    result = await session.execute(new.returning(*table.__table__.primary_key))
    return [list(row) for row in result]


def _units() -> list[dict[str, Any]]:
    return [
        {
            "code": unit.code,
            "name": unit.name,
            "kind": unit.kind,
            "grid_code": unit.grid_code,
            "active": True,
            "sort": position,
        }
        for position, unit in enumerate(UNITS)
    ]


def _categories() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for root in CATEGORIES:
        rows.append({"code": root.code, "parent_code": None, "name": root.name})
        rows.extend(
            {
                "code": f"{root.code}.{leaf.code}",
                "parent_code": root.code,
                "name": leaf.name,
                "gb_code": leaf.gb,
                "default_unit_code": leaf.unit,
                "policy_code": leaf.policy,
                "grid_matter": leaf.grid,
            }
            for leaf in root.leaves
        )
    empty = {"gb_code": None, "default_unit_code": None, "policy_code": None,
             "grid_matter": False, "active": True}  # fmt: skip
    return [{**empty, **row, "sort": position} for position, row in enumerate(rows)]


def _rule_sets(now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "version": 1,
            "state": RuleSetState.ACTIVE,
            "note": "初始规则",
            "created_at": now,
            "changed_at": now,
            "activated_at": now,
        }
    ]


def _rules() -> list[dict[str, Any]]:
    return [
        {
            "set_version": 1,
            "category_code": category,
            "grid_code": town,
            "unit_code": town_unit_code(town),
            "priority": 0,
            "active": True,
            "note": f"{name}辖区内的乡村生活事项由属地办理",
        }
        for town, name in TOWNS.items()
        for category in village_matters()
    ]


def _policy(policy: Policy, now: datetime) -> dict[str, Any]:
    return {
        "code": policy.code,
        "version": policy.version,
        "name": policy.name,
        "contact_minutes": policy.contact.total_seconds() // 60,
        "contact_mode": policy.contact_mode,
        "reply_days": policy.reply_days,
        "reply_mode": policy.reply_mode,
        "accept_office_minutes": policy.accept.total_seconds() // 60,
        "return_days": policy.return_days,
        "review_days": policy.review_days,
        "rate_days": policy.rate_days,
        "reopen_days": policy.reopen_days,
        "reopen_window_days": policy.reopen_window_days,
        "extension_days": policy.extension_days,
        "info_days": policy.info_days,
        "internal_days": policy.internal_days,
        "review_required": policy.review_required,
        "valid_from": now,
        "active": True,
    }
