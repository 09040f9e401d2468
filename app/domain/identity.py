"""Who may do what. One table of grants; nothing else in the house decides about roles.

What a role may do *to a request* stands in ``lifecycle.TRANSITIONS``; what it may call at all
stands here. A person has exactly one role.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.domain.errors import Forbidden


class Role(StrEnum):
    RESIDENT = "resident"
    MICRO_GRID_LEADER = "micro_grid_leader"
    GRID_LEADER = "grid_leader"
    HANDLER = "handler"
    UNIT_LEADER = "unit_leader"
    DISPATCHER = "dispatcher"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    ADMIN = "admin"
    SYSTEM = "system"  # the clock itself; nobody logs in as it


ROLE_TEXT: dict[Role, str] = {
    Role.RESIDENT: "居民",
    Role.MICRO_GRID_LEADER: "微网格长",
    Role.GRID_LEADER: "网格长",
    Role.HANDLER: "承办员",
    Role.UNIT_LEADER: "承办单位负责人",
    Role.DISPATCHER: "调度员",
    Role.SUPERVISOR: "督办员",
    Role.AUDITOR: "审计员",
    Role.ADMIN: "管理员",
    Role.SYSTEM: "系统",
}

STAFF_ROLES = frozenset(Role) - {Role.RESIDENT, Role.SYSTEM}
# Who sees requests as figures and facts only: no text, no person, no place.
BLIND_ROLES = frozenset({Role.AUDITOR, Role.ADMIN})


class Permission(StrEnum):
    PUBLIC = "public"  # anybody, even without logging in
    SELF = "self"  # one's own account and inbox
    REFERENCE_READ = "reference_read"
    REQUEST_SUBMIT = "request_submit"
    REQUEST_READ = "request_read"
    REQUEST_ACT = "request_act"  # which action: lifecycle.TRANSITIONS
    REQUEST_RATE = "request_rate"
    PERSONAL_REVEAL = "personal_reveal"  # of which request: requests.reveal
    AUDIT_READ = "audit_read"
    STATISTICS_READ = "statistics_read"
    CALENDAR_SIMULATE = "calendar_simulate"
    CALENDAR_PUBLISH = "calendar_publish"  # and to preview what that would move


_EVERYBODY = frozenset(Role) - {Role.SYSTEM}
_GRID = frozenset({Role.MICRO_GRID_LEADER, Role.GRID_LEADER})
_UNIT = frozenset({Role.HANDLER, Role.UNIT_LEADER})

GRANTS: dict[Permission, frozenset[Role]] = {
    Permission.PUBLIC: _EVERYBODY,
    Permission.SELF: _EVERYBODY,
    Permission.REFERENCE_READ: _EVERYBODY,
    Permission.REQUEST_SUBMIT: _GRID | {Role.RESIDENT, Role.DISPATCHER},
    Permission.REQUEST_READ: _EVERYBODY,
    Permission.REQUEST_ACT: _GRID | _UNIT | {Role.RESIDENT, Role.DISPATCHER, Role.SUPERVISOR},
    Permission.REQUEST_RATE: frozenset({Role.RESIDENT}),
    Permission.PERSONAL_REVEAL: _GRID | _UNIT | {Role.DISPATCHER, Role.SUPERVISOR},
    Permission.AUDIT_READ: frozenset({Role.AUDITOR, Role.SUPERVISOR}),
    Permission.STATISTICS_READ: frozenset({Role.AUDITOR, Role.SUPERVISOR, Role.ADMIN}),
    Permission.CALENDAR_SIMULATE: frozenset({Role.ADMIN}),
    Permission.CALENDAR_PUBLISH: frozenset({Role.ADMIN}),
}


class PermissionMissing(Forbidden):
    """您的角色没有权限进行此操作。"""

    code = "forbidden"


@dataclass(frozen=True, slots=True)
class Actor:
    """The person, or the system, on whose behalf something happens.

    ``unit_code`` is set for handlers and unit leaders; ``grid_code`` for grid staff (their grid)
    and for a town's dispatcher (the town). A dispatcher without one serves the whole city.
    """

    id: UUID
    role: Role
    unit_code: str | None = None
    grid_code: str | None = None

    def require(self, permission: Permission) -> None:
        """Raises: PermissionMissing."""
        if self.role not in GRANTS[permission]:
            raise PermissionMissing


SYSTEM = Actor(id=UUID(int=0), role=Role.SYSTEM)
