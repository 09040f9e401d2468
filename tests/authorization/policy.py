"""Who may call what, written by hand from the workflow page and the threat model.

Not one name of the application's own tables is read here (``identity.GRANTS``,
``lifecycle.TRANSITIONS``, ``queries.visible_to``): this is the second opinion they are compared
with. An operation that has no row in ``RULES`` fails the run, and so does a row without operation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Who(StrEnum):
    """A caller: one for each role, and those whom nobody knows (any more)."""

    RESIDENT = "resident"
    MICRO_GRID_LEADER = "micro_grid_leader"
    GRID_LEADER = "grid_leader"
    HANDLER = "handler"
    UNIT_LEADER = "unit_leader"
    DISPATCHER = "dispatcher"  # of the whole city
    TOWN_DISPATCHER = "town_dispatcher"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    ADMIN = "admin"
    ANONYMOUS = "anonymous"
    EXPIRED = "expired"  # a handler whose session has run out
    LOGGED_OUT = "logged_out"  # a handler who has logged out


class Relation(StrEnum):
    """How the request in a path stands to the caller."""

    OWN = "own"  # a resident's; of staff: signed, or taken down, by themselves
    OWN_GRID = "own_grid"
    OTHER_GRID = "other_grid"
    OWN_UNIT = "own_unit"
    OTHER_UNIT = "other_unit"
    CO_UNIT = "co_unit"  # another unit's; the caller's unit has an open part in it
    FORMERLY_OWN = "formerly_own"  # since then given to another unit, moved to another grid
    NON_EXISTENT = "non_existent"


NOBODY = frozenset({Who.ANONYMOUS, Who.EXPIRED, Who.LOGGED_OUT})
EVERYBODY = frozenset(Who) - NOBODY
RESIDENT = frozenset({Who.RESIDENT})
GRID = frozenset({Who.MICRO_GRID_LEADER, Who.GRID_LEADER})
HANDLER = frozenset({Who.HANDLER})
LEADER = frozenset({Who.UNIT_LEADER})
UNIT = HANDLER | LEADER
DESK = frozenset({Who.DISPATCHER, Who.TOWN_DISPATCHER})
CITY = frozenset({Who.SUPERVISOR})
BLIND = frozenset({Who.AUDITOR, Who.ADMIN})
STAFF = EVERYBODY - RESIDENT
ADMIN = frozenset({Who.ADMIN})
DOERS = EVERYBODY - BLIND
STAFF = EVERYBODY - RESIDENT

# Why nobody is let in, by how they come.
REFUSED_AT_THE_DOOR: dict[Who, str] = {
    Who.ANONYMOUS: "unauthenticated",
    Who.EXPIRED: "session_expired",
    Who.LOGGED_OUT: "invalid_token",
}

_ALWAYS = frozenset(Relation) - {Relation.NON_EXISTENT}
_UNITS = frozenset({Relation.OWN, Relation.OWN_UNIT, Relation.CO_UNIT})
_GRIDS = frozenset({Relation.OWN, Relation.OWN_GRID})
# Which requests exist for whom. What is missing here is 404, byte for byte as what never was.
SEES: dict[Who, frozenset[Relation]] = {
    Who.RESIDENT: frozenset({Relation.OWN, Relation.FORMERLY_OWN}),  # units change, owners do not
    Who.MICRO_GRID_LEADER: _GRIDS,
    Who.GRID_LEADER: _GRIDS,
    Who.HANDLER: _UNITS,
    Who.UNIT_LEADER: _UNITS,
    Who.DISPATCHER: _ALWAYS,
    Who.TOWN_DISPATCHER: _GRIDS,
    Who.SUPERVISOR: _ALWAYS,
    Who.AUDITOR: _ALWAYS,
    Who.ADMIN: _ALWAYS,
}

DONE = frozenset({200, 201, 204})
# An action that is called with a version that never was changes nothing, whatever its state says.
TRIED = frozenset({409, 412, 422})


@dataclass(frozen=True, slots=True)
class Expected:
    """``code``: of the problem; None where the call is let through."""

    statuses: frozenset[int]
    code: str | None = None


# Of units only the one that answers for the whole acts on it: never as far as the version.
NOT_THE_HOST = Expected(frozenset({409}))


@dataclass(frozen=True, slots=True)
class Rule:
    """One operation.

    ``callers`` get past the door (others: 403 ``forbidden``, whatever they ask for); of those,
    ``takers`` may do it to a request they see (others: 403 ``refused``). ``of_a_part``: what a unit
    is answered that has only a part of the request; None: as any other.
    """

    callers: frozenset[Who]
    takers: frozenset[Who]
    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    answers: frozenset[int] = DONE
    refused: str = "step_forbidden"
    of_a_part: Expected | None = None
    public: bool = False


def of_role(callers: frozenset[Who], **members: Any) -> Rule:
    """The role alone decides."""
    return Rule(callers, callers, **members)


def to_all(**members: Any) -> Rule:
    """Anybody, logged in or not."""
    return Rule(frozenset(Who), frozenset(Who), public=True, **members)


def action(takers: frozenset[Who], **body: Any) -> Rule:
    """A step of the workflow: the role decides who may try it, the request's state the rest."""
    return Rule(DOERS, takers, body={"note": "说明", **body}, answers=TRIED, of_a_part=NOT_THE_HOST)


_NOBODY_ID = "01980000-0000-7000-8000-000000000000"
_REPLY = {"public_reply": "已修好", "solved": "solved", "factual": True}
_RATING = {"contacted": True, "solved": "solved", "satisfaction": 5}
_CONTACT = {"method": "phone", "result": "reached"}
_INSTANT = "2026-03-02T09:30:00+08:00"
_TEAM = {"code": "370281001601001"}
_SEAT = {"code": "leader", "name": "网格长", "least": 1, "most": 1, "leads": True}
_POINT = {"latitude": 36.3, "longitude": 120.0, "coord_sys": "wgs84"}

# Log-in bodies hold what only the run knows (``world.body_of``).
# fmt: off
RULES: dict[str, Rule] = {
    "POST /auth/staff":                to_all(body={}),
    "POST /auth/wechat":               to_all(body={}),
    "POST /auth/logout":               of_role(EVERYBODY),
    "GET /me":                         of_role(EVERYBODY),
    "GET /inbox":                      of_role(EVERYBODY),
    "POST /inbox/read":                of_role(EVERYBODY, body={}),

    "GET /dictionaries":               to_all(),
    "GET /categories":                 to_all(),
    "GET /units":                      of_role(EVERYBODY),
    "GET /policies":                   of_role(EVERYBODY),
    "GET /workflow":                   of_role(EVERYBODY),
    "GET /calendars":                  of_role(EVERYBODY),
    "GET /calendars/{version}":        of_role(EVERYBODY, path={"version": "1"}),
    "POST /calendars/simulate":        of_role(ADMIN, body={"submitted_at": [_INSTANT]}),
    "POST /calendars/preview":         of_role(ADMIN, body={"draft": {}}),
    "POST /calendars":                 of_role(ADMIN, answers=TRIED, body={
        "draft": {}, "draft_hash": "0" * 64, "base_version": 99}),
    "GET /grids":                      of_role(EVERYBODY),
    "GET /grids/{code}":               of_role(EVERYBODY, path={"code": "370281001"}),
    "POST /grids/locate":              of_role(EVERYBODY, body={"points": [_POINT]}),

    "GET /grids/{code}/versions":      of_role(EVERYBODY, path={"code": "370281001"}),
    "GET /grids/legacy-units":         of_role(EVERYBODY),
    "GET /grids/audit":                of_role(DESK | CITY | ADMIN, query={"deep": "false"}),
    "POST /grids/imports":             of_role(ADMIN, answers=TRIED, body={},
                                               query={"level": "town", "crs": "wgs84"}),
    "GET /grids/imports":              of_role(ADMIN),
    "GET /grids/imports/{import_id}":  of_role(ADMIN, answers=frozenset({404}),
                                               path={"import_id": _NOBODY_ID}),
    "POST /grids/imports/{import_id}/apply": of_role(
        ADMIN, answers=frozenset({404}), path={"import_id": _NOBODY_ID}),
    "POST /grids/imports/{import_id}/rollback": of_role(
        ADMIN, answers=frozenset({404}), path={"import_id": _NOBODY_ID}),

    "POST /registry/batches":          of_role(GRID, body={"records": [{"kind": "person"}]}),
    "GET /registry/progress":          of_role(GRID | DESK | CITY | BLIND),
    "POST /registry/persons/lookup":   of_role(GRID | DESK | CITY, body={"phone": "13800138000"}),
    "GET /registry/{kind}":            of_role(GRID | DESK | CITY, path={"kind": "persons"}),
    "GET /registry/{kind}/{record_id}": of_role(
        GRID | DESK | CITY, answers=frozenset({404}),
        path={"kind": "houses", "record_id": _NOBODY_ID}),
    "POST /registry/{kind}/{record_id}/reveal": of_role(
        GRID | DESK | CITY, answers=frozenset({404}), body={"reason": "核实情况"},
        path={"kind": "persons", "record_id": _NOBODY_ID}),

    "GET /map":                        of_role(STAFF),
    "GET /map/borders/{version}/{level}/{coord_sys}": of_role(
        STAFF, answers=frozenset({404}),
        path={"version": "0" * 16, "level": "grid", "coord_sys": "wgs84"}),
    "GET /map/figures": Rule(
        STAFF, STAFF - BLIND, query={"layer": "open"}, refused="map_layer_in_statistics"),
    "GET /map/requests": Rule(
        STAFF, STAFF - BLIND, query={"bbox": "119,35,121,37"}, refused="map_points_not_for_role"),

    "GET /map/{layer}":                of_role(GRID | DESK | CITY, path={"layer": "houses"},
                                               query={"bbox": "119,35,121,37"}),

    "GET /teams":                      of_role(STAFF),
    "GET /teams/rules":                of_role(STAFF),
    "POST /teams/rules/templates/{level}": of_role(
        ADMIN, answers=TRIED, path={"level": "grid"},
        body={"name": "队伍", "seats": [_SEAT]}),
    "POST /teams/rules/duties":        of_role(ADMIN, answers=TRIED, body={
        "duties": [{"code": "policy", "name": "政策宣传"}]}),
    "GET /teams/handovers":            of_role(STAFF),
    "GET /teams/handovers/{handover_id}": of_role(
        STAFF, answers=frozenset({404}), path={"handover_id": _NOBODY_ID}),
    "POST /teams/handovers/{handover_id}/acknowledge": of_role(
        GRID | ADMIN, answers=frozenset({404}), path={"handover_id": _NOBODY_ID}),
    "GET /teams/{code}":               of_role(STAFF, path=_TEAM),
    "POST /teams/{code}/members":      of_role(ADMIN, answers=TRIED, path=_TEAM, body={
        "seat": "leader", "name": "张三", "phone": "13800138000", "since": "2026-03-02"}),
    "POST /teams/{code}/members/{member_id}/end": of_role(
        ADMIN, answers=TRIED, path={**_TEAM, "member_id": _NOBODY_ID}, body={
            "until": "2026-03-02"}),
    "POST /teams/{code}/members/{member_id}/amend": of_role(
        ADMIN, answers=TRIED, path={**_TEAM, "member_id": _NOBODY_ID}, body={"published": True}),
    "POST /teams/{code}/members/{member_id}/reveal": of_role(
        GRID | DESK | CITY, answers=frozenset({404}), path={**_TEAM, "member_id": _NOBODY_ID},
        body={"reason": "核实情况"}),
    "POST /teams/{code}/party-group":  of_role(
        ADMIN, answers=TRIED, path=_TEAM, body={"group": None}),
    "POST /teams/{code}/plaque":       of_role(ADMIN, answers=TRIED, path=_TEAM),
    "POST /teams/{code}/plaque/revoke": of_role(ADMIN, answers=TRIED, path=_TEAM),
    "GET /teams/{code}/plaque/sheet":  of_role(STAFF, answers=frozenset({404}), path=_TEAM),
    "GET /teams/photos/{member_id}":   of_role(
        STAFF, answers=frozenset({404}), path={"member_id": _NOBODY_ID}),
    "PUT /teams/photos/{member_id}":   of_role(
        ADMIN, answers=TRIED, path={"member_id": _NOBODY_ID}),
    "DELETE /teams/photos/{member_id}": of_role(
        ADMIN, answers=frozenset({404}), path={"member_id": _NOBODY_ID}),
    "GET /teams/plaques/{plaque_id}":  to_all(
        answers=frozenset({404}), path={"plaque_id": "0000000000"}),

    "GET /satisfaction/frame":        of_role(CITY | ADMIN, answers=frozenset({200, 409}), query={
        "from": "2026-02-01", "to": "2026-03-02", "sample_size": "10"}),
    "POST /satisfaction/campaigns":    of_role(CITY | ADMIN, answers=TRIED, body={
        "title": "二月回访", "replied_from": "2026-02-01", "replied_to": "2026-03-02",
        "sample_size": 10, "frame_digest": "0" * 64}),
    "GET /satisfaction/campaigns":     of_role(CITY | BLIND),
    "GET /satisfaction/campaigns/{campaign_id}": of_role(
        CITY | BLIND, answers=frozenset({404}), path={"campaign_id": _NOBODY_ID}),
    "GET /satisfaction/campaigns/{campaign_id}/members": of_role(
        CITY | BLIND, answers=frozenset({404}), path={"campaign_id": _NOBODY_ID}),
    "GET /satisfaction/agreement":     of_role(CITY | BLIND),
    "GET /satisfaction/anomalies":     of_role(CITY | BLIND),
    "POST /satisfaction/exclusions":   of_role(LEADER, answers=frozenset({404}), body={
        "request_id": _NOBODY_ID, "measures": ["satisfied"], "ground": "malicious",
        "evidence": "录音证实"}),
    "GET /satisfaction/exclusions":    of_role(LEADER | CITY | BLIND),
    "GET /satisfaction/exclusions/{exclusion_id}": of_role(
        LEADER | CITY | BLIND, answers=frozenset({404}), path={"exclusion_id": _NOBODY_ID}),
    "POST /satisfaction/exclusions/{exclusion_id}/decide": of_role(
        CITY, answers=frozenset({404}), path={"exclusion_id": _NOBODY_ID},
        body={"decision": "deny", "note": "说明"}),
    "POST /satisfaction/exclusions/{exclusion_id}/revoke": of_role(
        CITY, answers=frozenset({404}), path={"exclusion_id": _NOBODY_ID}, body={"note": "说明"}),
    "POST /satisfaction/exclusions/{exclusion_id}/withdraw": of_role(
        LEADER, answers=frozenset({404}), path={"exclusion_id": _NOBODY_ID}),

    "GET /statistics/satisfaction":    of_role(CITY | BLIND),
    "GET /statistics/definitions":     of_role(EVERYBODY),
    "GET /statistics":                 of_role(CITY | BLIND),
    "GET /statistics/requests":        of_role(CITY | BLIND),

    "GET /statistics/snapshots/preview": of_role(
        CITY | {Who.AUDITOR}, query={"from": "2026-01-01", "to": "2026-01-31"}),
    "POST /statistics/snapshots":      of_role(
        CITY | {Who.AUDITOR}, answers=frozenset({409}), body={
            "title": "一月", "from": "2026-01-01", "to": "2026-01-31", "hash": "0" * 64}),
    "GET /statistics/snapshots":       of_role(CITY | BLIND),
    "GET /statistics/snapshots/{snapshot_id}": of_role(
        CITY | BLIND, answers=frozenset({404}), path={"snapshot_id": _NOBODY_ID}),
    "GET /statistics/snapshots/{snapshot_id}/content": of_role(
        CITY | BLIND, answers=frozenset({404}), path={"snapshot_id": _NOBODY_ID}),
    "GET /statistics/snapshots/{snapshot_id}/revisions": of_role(
        CITY | BLIND, answers=frozenset({404}), path={"snapshot_id": _NOBODY_ID}),
    "GET /statistics/snapshots/{snapshot_id}/changes": of_role(
        CITY | BLIND, answers=frozenset({404}), path={"snapshot_id": _NOBODY_ID}),
    "POST /statistics/exports":        of_role(
        CITY | BLIND, answers=frozenset({201, 429}), body={
            "format": "csv", "measures": ["received"], "from": "2026-01-01", "to": "2026-01-31"}),
    "GET /statistics/exports":         of_role(CITY | BLIND),
    "GET /statistics/exports/{export_id}": of_role(
        CITY | BLIND, answers=frozenset({404}), path={"export_id": _NOBODY_ID}),
    "POST /statistics/exports/{export_id}/cancel": of_role(
        CITY | BLIND, answers=frozenset({404}), path={"export_id": _NOBODY_ID}),
    "GET /statistics/exports/{export_id}/file": to_all(
        answers=frozenset({404}), path={"export_id": _NOBODY_ID},
        query={"until": "1767225600", "signature": "0" * 64}),

    "GET /routing/versions":           of_role(DESK | CITY | BLIND),
    "GET /routing/versions/{version}": of_role(DESK | CITY | BLIND, path={"version": "1"}),
    "GET /routing/versions/{version}/rules": of_role(DESK | CITY | BLIND, path={"version": "1"}),
    "GET /routing/versions/{version}/conflicts": of_role(
        DESK | CITY | BLIND, path={"version": "1"}),
    "GET /routing/versions/{version}/dry-run": of_role(DESK | CITY | BLIND, path={"version": "1"}),
    "GET /routing/conflicts":          of_role(DESK | CITY | BLIND),
    "POST /routing/versions":          of_role(ADMIN, body={"note": "试改"}),
    "POST /routing/versions/{version}/rules": of_role(
        ADMIN, path={"version": "1"}, body={"rules": []}, answers=TRIED),
    "POST /routing/versions/{version}/activate": of_role(
        ADMIN, path={"version": "1"}, answers=TRIED),
    "POST /routing/versions/{version}/discard": of_role(
        ADMIN, path={"version": "1"}, answers=TRIED),
    "GET /requests/{request_id}/suggestions": of_role(DESK | CITY),

    "POST /requests":                  of_role(RESIDENT | GRID | DESK, body={"text": "路灯不亮"}),
    "GET /requests":                   of_role(EVERYBODY),
    "GET /requests/{request_id}":      of_role(EVERYBODY),
    "GET /requests/{request_id}/timeline": of_role(EVERYBODY),
    "POST /requests/{request_id}/reveal": Rule(
        UNIT | GRID | DESK | CITY, UNIT | GRID | DESK,  # of what is confidential: the supervisor
        body={"reason": "核实情况"}, refused="reveal_forbidden",
        of_a_part=Expected(frozenset({403}), "reveal_forbidden")),
    "GET /requests/{request_id}/audit": of_role(CITY | {Who.AUDITOR}),
    "POST /requests/{request_id}/contacts": action(UNIT | GRID | DESK, **_CONTACT),
    "POST /requests/{request_id}/rating": Rule(RESIDENT, RESIDENT, body=_RATING, answers=TRIED),
}

_STEPS: dict[str, Rule] = {
    "assign":            action(DESK, unit_code="housing"),                       # 2
    "ask_info":          action(DESK | HANDLER),                                  # 4
    "supply":            action(RESIDENT, text="在村口"),                          # 5
    "expire_info":       action(DESK, decision="resume"),                         # 6
    "sign":              action(UNIT),                                            # 7
    "return":            action(UNIT, reason_code="not_ours"),                    # 9
    "decide_return":     action(DESK | CITY, decision="refuse"),                  # 10
    "transfer":          action(LEADER | DESK, unit_code="water"),                # 11
    "contact":           action(UNIT | GRID | DESK, **_CONTACT),                  # 12
    "co_assign":         action(DESK | LEADER, unit_code="water", task="抽水"),    # 13
    "co_feedback":       Rule(DOERS, UNIT | DESK, answers=TRIED, body={
                             "note": "说明", "co_task_id": _NOBODY_ID, "step": "sign"}),  # 14
    "request_extension": action(UNIT, working_days=1, reason_code="weather"),     # 15
    "decide_extension":  action(DESK | CITY, decision="deny"),                    # 16
    "suspend":           action(LEADER | DESK, reason_code="weather", until="2026-03-20"),  # 17
    "resume":            action(LEADER | DESK | RESIDENT),                        # 18
    "urge":              action(RESIDENT | DESK),                                 # 19
    "supervise":         action(CITY | LEADER),                                   # 20
    "reply":             action(HANDLER, **_REPLY),                               # 21
    "decide_reply":      action(LEADER, decision="approve"),                      # 22
    "rate":              Rule(RESIDENT, RESIDENT, body=_RATING, answers=TRIED),   # 23
    "call_back":         action(DESK | CITY, reached=False),                      # 25
    "request_reopen":    action(RESIDENT),                                        # 26
    "decide_reopen":     action(DESK | CITY, decision="refuse"),                  # 27
    "reject":            action(DESK | CITY, ground_code="petition"),             # 28
    "appeal":            action(RESIDENT),                                        # 29
    "withdraw":          action(RESIDENT),                                        # 30
    "merge":             action(DESK, master_id=_NOBODY_ID),                      # 31
    "unmerge":           action(DESK),                                            # 32
    "settle":            action(GRID, **_REPLY),                                  # 33
    "reclassify":        action(DESK | HANDLER, category_code="road.lamp"),       # 34
    "correct":           action(CITY, field="分类", was="路灯", correct="井盖",
                                approved_by=_NOBODY_ID, approval="审计〔2026〕1号"),   # 36
}
# fmt: on
RULES |= {f"POST /requests/{{request_id}}/actions/{name}": rule for name, rule in _STEPS.items()}


def about_a_request(operation: str) -> bool:
    return "{request_id}" in operation


def relations_of(operation: str) -> tuple[Relation | None, ...]:
    """The relations an operation is called in; ``(None,)`` where no request is in its path."""
    return tuple(Relation) if about_a_request(operation) else (None,)


def cells() -> Iterator[tuple[Who, str, Relation | None]]:
    for who in Who:
        for operation in RULES:
            for relation in relations_of(operation):
                yield who, operation, relation


def expected(who: Who, operation: str, relation: Relation | None) -> Expected:
    """What this cell must answer. The order of the questions is the order of the doors."""
    rule = RULES[operation]
    if rule.public:
        return Expected(rule.answers)
    if who in NOBODY:
        return Expected(frozenset({401}), REFUSED_AT_THE_DOOR[who])
    if who not in rule.callers:
        return Expected(frozenset({403}), "forbidden")
    if relation is not None and relation not in SEES[who]:
        return Expected(frozenset({404}), "request_not_found")
    if who not in rule.takers:
        return Expected(frozenset({403}), rule.refused)
    if relation is Relation.CO_UNIT and who in UNIT and rule.of_a_part is not None:
        return rule.of_a_part
    return Expected(rule.answers)
