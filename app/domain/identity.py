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
# Who lives beside the resident, or is perhaps complained about: kept from whoever asks for 保密.
NEAR_STAFF = frozenset({Role.GRID_LEADER, Role.MICRO_GRID_LEADER, Role.HANDLER, Role.UNIT_LEADER})


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
    STATISTICS_PUBLISH = "statistics_publish"
    STATISTICS_EXPORT = "statistics_export"  # and see one's own exports
    CALL_BACK_DRAW = "call_back_draw"  # a sample of whom to call back; calling: REQUEST_ACT
    EXCLUSION_ASK = "exclusion_ask"  # that a request of one's unit does not count in a figure
    EXCLUSION_DECIDE = "exclusion_decide"
    EXCLUSION_READ = "exclusion_read"  # of units: their own
    MAP_READ = "map_read"  # whose requests: requests.queries.listed_for
    ROUTING_READ = "routing_read"
    ROUTING_EDIT = "routing_edit"
    ROUTING_SUGGEST = "routing_suggest"  # for a request that no rule names a unit for
    CALENDAR_SIMULATE = "calendar_simulate"
    CALENDAR_PUBLISH = "calendar_publish"  # and to preview what that would move
    GRID_CHANGE = "grid_change"  # boundaries: preview, apply, take back
    GRID_AUDIT = "grid_audit"  # gaps, overlaps, houses in no grid
    REGISTRY_COLLECT = "registry_collect"  # in one's own grid
    REGISTRY_READ = "registry_read"  # records, masked
    REGISTRY_REVEAL = "registry_reveal"
    REGISTRY_PROGRESS = "registry_progress"  # figures only
    TEAM_READ = "team_read"  # masked, but for what was published
    TEAM_CHANGE = "team_change"
    TEAM_TAKE_OVER = "team_take_over"  # whose hand-over: teams.handovers
    TEAM_REVEAL = "team_reveal"


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
    Permission.STATISTICS_PUBLISH: frozenset({Role.AUDITOR, Role.SUPERVISOR}),
    Permission.STATISTICS_EXPORT: frozenset({Role.AUDITOR, Role.SUPERVISOR, Role.ADMIN}),
    Permission.CALL_BACK_DRAW: frozenset({Role.SUPERVISOR, Role.ADMIN}),
    Permission.EXCLUSION_ASK: frozenset({Role.UNIT_LEADER}),
    Permission.EXCLUSION_DECIDE: frozenset({Role.SUPERVISOR}),
    Permission.EXCLUSION_READ: BLIND_ROLES | {Role.UNIT_LEADER, Role.SUPERVISOR},
    Permission.MAP_READ: STAFF_ROLES,
    Permission.ROUTING_READ: BLIND_ROLES | {Role.DISPATCHER, Role.SUPERVISOR},
    Permission.ROUTING_EDIT: frozenset({Role.ADMIN}),
    Permission.ROUTING_SUGGEST: frozenset({Role.DISPATCHER, Role.SUPERVISOR}),
    Permission.CALENDAR_SIMULATE: frozenset({Role.ADMIN}),
    Permission.CALENDAR_PUBLISH: frozenset({Role.ADMIN}),
    Permission.GRID_CHANGE: frozenset({Role.ADMIN}),
    Permission.GRID_AUDIT: frozenset({Role.ADMIN, Role.DISPATCHER, Role.SUPERVISOR}),
    Permission.REGISTRY_COLLECT: _GRID,
    Permission.REGISTRY_READ: _GRID | {Role.DISPATCHER, Role.SUPERVISOR},
    Permission.REGISTRY_REVEAL: _GRID | {Role.DISPATCHER, Role.SUPERVISOR},
    Permission.REGISTRY_PROGRESS: _GRID | BLIND_ROLES | {Role.DISPATCHER, Role.SUPERVISOR},
    Permission.TEAM_READ: STAFF_ROLES,
    Permission.TEAM_CHANGE: frozenset({Role.ADMIN}),
    Permission.TEAM_TAKE_OVER: _GRID | {Role.ADMIN},
    Permission.TEAM_REVEAL: _GRID | {Role.DISPATCHER, Role.SUPERVISOR},
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
