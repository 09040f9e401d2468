"""The people of the demo city: their accounts, and ``demo.json`` which says how to log in."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.place import write_private
from app.domain.identity import Role
from app.grids.kinds import GridLevel
from app.grids.models import GridRow
from app.people import service as people
from app.people.models import Staff
from app.people.service import NewStaff
from app.reference.models import UnitRow

_RESIDENTS = {
    "zhangwei": "张伟",
    "wangfang": "王芳",
    "lina": "李娜",
    "liuyang": "刘洋",
    "chenjie": "陈杰",
    "yangxiuying": "杨秀英",
    "zhaolei": "赵磊",
    "huangmin": "黄敏",
    "zhouqiang": "周强",
    "sunli": "孙丽",
}


async def hire(session: AsyncSession, hashes: Mapping[str, str], *, now: datetime) -> int:
    """Make the accounts of the demo city, whose units and grids are there already; how many.

    Args:
        hashes: the password hash of each role.
    """
    units = (await session.execute(select(UnitRow.code, UnitRow.name).order_by(UnitRow.code))).all()
    grids = (
        await session.execute(select(GridRow.code, GridRow.name, GridRow.level).order_by("code"))
    ).all()
    posts = [
        *_posts_of_city(hashes),
        *(post for unit in units for post in _posts_of_unit(unit.code, unit.name, hashes)),
        *(_post_of_grid(grid.code, grid.name, grid.level, hashes) for grid in grids),
    ]
    hired = [post for post in posts if post is not None]
    await people.create_staff_many(session, hired, now=now)
    return len(hired)


def _posts_of_city(hashes: Mapping[str, str]) -> Iterator[NewStaff]:
    for role, name in (
        (Role.ADMIN, "系统管理员"),
        (Role.AUDITOR, "审计员"),
        (Role.SUPERVISOR, "督办员"),
        (Role.DISPATCHER, "市级调度员"),
    ):
        yield NewStaff(role.value, name, role, password_hash=hashes[role])


def _posts_of_unit(code: str, name: str, hashes: Mapping[str, str]) -> Iterator[NewStaff]:
    word = re.sub(r"[^a-z0-9._-]", "-", code.lower())
    for role, prefix, title in (
        (Role.HANDLER, "handler", "承办员"),
        (Role.UNIT_LEADER, "leader", "负责人"),
    ):
        yield NewStaff(
            f"{prefix}-{word}", name + title, role, unit_code=code, password_hash=hashes[role]
        )


def _post_of_grid(
    code: str, name: str, level: GridLevel, hashes: Mapping[str, str]
) -> NewStaff | None:
    match level:
        case GridLevel.TOWN:
            role, prefix, title = Role.DISPATCHER, "dispatcher", "调度员"
        case GridLevel.GRID:
            role, prefix, title = Role.GRID_LEADER, "grid", "网格长"
        case GridLevel.MICRO:
            role, prefix, title = Role.MICRO_GRID_LEADER, "micro", "微网格长"
        case GridLevel.COMMUNITY:
            return None
    return NewStaff(
        f"{prefix}-{code}", name + title, role, grid_code=code, password_hash=hashes[role]
    )


async def log_ins(
    session: AsyncSession, demo: Mapping[str, Mapping[str, str]]
) -> list[dict[str, str | None]]:
    """Who can log in with a demo password: everybody, but of grid leaders one per community.

    An account whose password was changed since is not among them.
    """
    rows = await session.execute(
        select(Staff.role, Staff.username, Staff.password_hash, Staff.unit_code, Staff.grid_code)
        .where(Staff.active, Staff.password_hash.in_([kept["hash"] for kept in demo.values()]))
        .order_by(Staff.role, Staff.username)
    )
    found: list[dict[str, str | None]] = []
    communities: set[str] = set()
    for row in rows:
        if row.role is Role.GRID_LEADER:
            community = row.grid_code[:12]
            if community in communities:
                continue
            communities.add(community)
        found.append(
            {
                "role": row.role.value,
                "username": row.username,
                "password": demo[row.role]["password"],
                "unit": row.unit_code,
                "grid": row.grid_code,
            }
        )
    return found


def residents() -> list[dict[str, str]]:
    """Codes that the fake WeChat takes, each once; ``<code>~2`` is the same person again."""
    return [{"code": f"code-ok-{word}", "name": name} for word, name in _RESIDENTS.items()]


def write_demo_file(
    data: Path, base_url: str, logins: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    content = {"base_url": base_url, "logins": list(logins), "residents": residents()}
    write_private(data / "demo.json", content)
    return content
