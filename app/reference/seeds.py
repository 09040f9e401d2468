"""The reference data a new city starts with. What is already there is left as the city has it."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.sla import Policy
from app.reference import queries, service
from app.reference.models import CategoryRow, PolicyRow, RoutingRuleRow, UnitRow
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

    Idempotent: a second call changes nothing, and nothing that the city has edited is overwritten.
    """
    await service.lock_calendars(session)  # two seeding processes take turns
    added = 0
    for table, rows in (
        (UnitRow, _units()),
        (PolicyRow, [_policy(policy, now) for policy in POLICIES]),
        (CategoryRow, _categories()),
        (RoutingRuleRow, _rules()),
    ):
        added += await _insert(session, table, rows)
    if await queries.newest_calendar(session) is None:
        await service.publish_notices(session, NOTICES, now=now)
        added += 1
    if added:
        await announce(session, queries.TOPIC)


async def _insert(session: AsyncSession, table: type[Base], rows: list[dict[str, Any]]) -> int:
    """Rows that are new, in one statement; how many there were."""
    new = insert(table).on_conflict_do_nothing().values(rows)
    result = await session.execute(new.returning(text("1")))
    return len(result.all())


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


def _rules() -> list[dict[str, Any]]:
    return [
        {
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
        "review_required": policy.review_required,
        "valid_from": now,
        "active": True,
    }
