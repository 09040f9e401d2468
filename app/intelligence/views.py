"""Rule sets, dry runs and proposals as the API shows them."""

from collections.abc import Sequence

from app.domain.routing_faults import FAULT_TEXT, REFUSED, RuleFault
from app.intelligence.dry_run import DryRun, MovedRequest
from app.intelligence.schemas import (
    DryRunOut,
    MovedOut,
    ProposalOut,
    SuggestionsOut,
    UnitRefOut,
    WayOut,
)
from app.intelligence.suggesting import Suggestion
from app.reference.kinds import RULE_SET_STATE_TEXT
from app.reference.models import RoutingRuleRow, RuleSetRow
from app.reference.queries import Reference
from app.reference.rule_schemas import (
    FaultOut,
    FaultsOut,
    RuleOut,
    RuleSetOut,
    RulesOut,
    WindowOut,
)

_MOST_FAULTS = 500
FIELD_TEXT: dict[str, str] = {
    "town": "镇街",
    "community": "社区",
    "source": "来源",
    "kind": "诉求类型",
    "type": "大类",
    "main_type": "类别",
    "sub_type": "小类",
}


def rule_set(row: RuleSetRow, rules: int) -> RuleSetOut:
    return RuleSetOut(
        set_version=row.version,
        version=row.revision,
        state=row.state,
        state_text=RULE_SET_STATE_TEXT[row.state],
        base_version=row.base_version,
        note=row.note,
        rules=rules,
        created_at=row.created_at,
        changed_at=row.changed_at,
        activated_at=row.activated_at,
    )


def rules(reference: Reference, found: Sequence[RoutingRuleRow], *, more: bool) -> RulesOut:
    return RulesOut(
        items=tuple(_rule(reference, row) for row in found),
        next_after=found[-1].id if more and found else None,
    )


def _rule(reference: Reference, row: RoutingRuleRow) -> RuleOut:
    category = reference.categories.get(row.category_code or "")
    return RuleOut(
        id=row.id,
        unit_code=row.unit_code,
        unit_name=reference.units[row.unit_code].name,
        category_code=row.category_code,
        category_name=category.name if category else None,
        grid_code=row.grid_code,
        kind=row.kind,
        window=WindowOut(**row.time_window) if row.time_window else None,
        co_unit_codes=tuple(row.co_unit_codes),
        policy_code=row.policy_code,
        grid_first_minutes=row.grid_first_minutes,
        priority=row.priority,
        active=row.active,
        note=row.note,
    )


def faults(version: int, checked: int, found: Sequence[RuleFault]) -> FaultsOut:
    return FaultsOut(
        set_version=version,
        checked=checked,
        total=len(found),
        items=tuple(
            FaultOut(
                kind=it.kind,
                kind_text=FAULT_TEXT[it.kind],
                refused=it.kind in REFUSED,
                rule_ids=it.rule_ids,
                text=it.text,
            )
            for it in found[:_MOST_FAULTS]
        ),
    )


def dry_run(
    reference: Reference,
    found: DryRun,
    *,
    version: int,
    against: int,
    days: int,
    first_page: bool,
    next_cursor: str | None,
) -> DryRunOut:
    return DryRunOut(
        set_version=version,
        against_version=against,
        days=days,
        examined=found.examined,
        moved=found.moved if first_page else None,
        otherwise=found.otherwise if first_page else None,
        ways=tuple(
            WayOut(from_unit=_unit(reference, old), to_unit=_unit(reference, new), count=count)
            for (old, new), count in found.ways.most_common()
        )
        if first_page
        else (),
        items=tuple(_moved(reference, it) for it in found.listed),
        next_cursor=next_cursor,
    )


def _moved(reference: Reference, it: MovedRequest) -> MovedOut:
    row = it.row
    return MovedOut(
        id=str(row["id"]),
        number=row["number"],
        state=row["state"],
        submitted_at=row["submitted_at"],
        category_code=row["category_code"],
        grid_code=row["grid_code"],
        from_unit=_unit(reference, it.before.unit_code),
        from_rule=it.before.rule_id,
        to_unit=_unit(reference, it.after.unit_code),
        to_rule=it.after.rule_id,
    )


def _unit(reference: Reference, code: str | None) -> UnitRefOut | None:
    if code is None:
        return None
    unit = reference.units.get(code)
    return UnitRefOut(code=code, name=unit.name if unit else code)


def suggestions(reference: Reference, request_id: str, found: Suggestion) -> SuggestionsOut:
    return SuggestionsOut(
        request_id=request_id,
        needed=found.needed,
        model_version=found.model_version,
        items=tuple(
            ProposalOut(
                unit=UnitRefOut(code=it.unit, name=reference.unit(it.unit).name),
                confidence=round(it.confidence, 4),
                level=it.level,
                level_text="、".join(FIELD_TEXT[name] for name in it.level) or "全部",
                cases=it.cases,
                of=it.of,
            )
            for it in found.proposals
        ),
    )
