"""docs/workflow.md, made from the tables of the domain: ``python -m tests.docs.workflow_page``."""

from collections.abc import Iterable
from pathlib import Path

from app.domain.cotasks import CO_TASK_STATE_TEXT, CO_TRANSITIONS
from app.domain.escalation import AUTOMATIC, LADDER, LEVEL_TEXT
from app.domain.guards import GUARD_TEXT, Guard
from app.domain.identity import GRANTS, ROLE_TEXT, Permission, Role
from app.domain.lifecycle import TRANSITIONS
from app.domain.sla import METRIC_TEXT, Metric
from app.domain.states import ACTION_TEXT, FINAL, REPLY_CLOCK, STATE_TEXT, Action, Clock, State
from tests.docs.documents import ROOT

PAGE: Path = ROOT / "docs" / "workflow.md"

# What no table of the domain says in words.
_CLOCK_TEXT: dict[Clock, str] = {
    Clock.RUNS: "计时 runs",
    Clock.STANDS: "暂停 stands",
    Clock.ENDED: "停止 ended",
    Clock.CANCELLED: "取消 cancelled",
}
_METRICS: dict[Metric, tuple[str, str]] = {
    Metric.CONTACT: ("提交；重办批准 · submission, a new cycle", "首次联系上 · the first contact"),
    Metric.REPLY: ("提交；重办批准 · submission, a new cycle", "答复送达 · the answer is sent"),
    Metric.ACCEPT: ("派单 · assignment", "签收、退单 · signed or returned"),
    Metric.RETURN: ("派单 · assignment", "只是退单的期限 · only a window"),
    Metric.COTASK: ("协办派出 · a part is given", "最后一件协办反馈 · the last part is fed back"),
    Metric.REVIEW: ("申请重办、异议 · asked to reopen, appealed", "审核 · decided"),
    Metric.RATE: ("答复 · answered", "评价 · rated"),
    Metric.SUPERVISE: ("督办 · ordered", "负责人答复 · the leader answers"),
    Metric.INFO: ("要求补充 · asked for more", "补充 · supplied"),
    Metric.SUSPENSION: ("批准挂起 · allowed to stand", "解挂 · resumed"),
    Metric.INTERNAL: ("退单后改派 · given on after a return", "答复送达 · the answer is sent"),
}

_HEAD = """# 工作流程 · The workflow

Made from `app/domain` by `python -m tests.docs.workflow_page`; a test keeps it equal. The source of
the rules is the table `app/domain/lifecycle.TRANSITIONS`: what may follow what, who does it, and
what stops it. Roles and guards stand there and nowhere else; `GET /api/v1/workflow` serves the same
table, and every answer about a request lists the caller's `available_actions` with the reason where
one is blocked.

本页由程序从流程表生成，请勿手工修改。
"""


def workflow_page() -> str:
    return "\n".join(
        [
            _HEAD,
            "## 状态图 · Diagram",
            "",
            *_diagram(),
            "",
            "Steps that leave a request where it is are not drawn: see the table of actions.",
            "",
            "## 状态 · States",
            "",
            *_table(
                ("代码 code", "名称", "居民所见", "答复计时 reply clock", "终态 final"), _states()
            ),
            "",
            "## 动作 · Actions",
            "",
            "`*`: 须填说明, a note is required. Guards by their codes; their words follow below.",
            "",
            *_table(("动作 action", "从 from", "到 to", "角色 roles", "条件 guards"), _actions()),
            "",
            "## 条件 · Guards",
            "",
            *_table(
                ("代码 code", "不满足时的提示"),
                ((f"`{guard}`", GUARD_TEXT[guard]) for guard in Guard),
            ),
            "",
            "## 协办 · Co-tasks",
            "",
            *_table(("从 from", "步骤 step", "到 to", "由谁 by"), _co_tasks()),
            "",
            "## 时限 · Clocks",
            "",
            "`reply`, `cotask` and `internal` stand where the table of states says so, "
            "`contact` never",
            "does. `internal` is the unit's own: the resident's due time does not move by it.",
            "A rung is told once; where an action follows it, the clock itself takes it.",
            "",
            *_table(("时限 clock", "开始 starts", "停止 stops", "阶梯 ladder"), _clocks()),
            "",
        ]
    )


def _diagram() -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {state}: {STATE_TEXT[state][0]} {state}" for state in State]
    lines.append(f"    [*] --> {State.SUBMITTED}: {ACTION_TEXT[Action.SUBMIT]}")
    arrows: dict[tuple[State, State], list[str]] = {}
    for row in TRANSITIONS:
        for target in row.targets:
            if target is not row.source:
                arrows.setdefault((row.source, target), []).append(ACTION_TEXT[row.action])
    lines += [
        f"    {source} --> {target}: {'、'.join(names)}"
        for (source, target), names in arrows.items()
    ]
    lines += [f"    {state} --> [*]" for state in State if not _led_out_of(state)]
    return [*lines, "```"]


def _led_out_of(state: State) -> bool:
    return any(row.source is state and set(row.targets) != {state} for row in TRANSITIONS)


def _states() -> Iterable[tuple[str, ...]]:
    for state, (staff, resident) in STATE_TEXT.items():
        clock = _CLOCK_TEXT[REPLY_CLOCK[state]]
        yield f"`{state}`", staff, resident, clock, "是 yes" if state in FINAL else ""


def _actions() -> Iterable[tuple[str, ...]]:
    who = _roles(GRANTS[Permission.REQUEST_SUBMIT])
    yield _named(Action.SUBMIT), "", f"`{State.SUBMITTED}`", who, ""
    alike: dict[tuple[str, ...], list[State]] = {}
    for row in TRANSITIONS:
        name = _named(row.action) + (" `*`" if row.note_required else "")
        to = ", ".join("不变 stays" if it is row.source else f"`{it}`" for it in row.targets)
        alike.setdefault((name, to, _roles(row.by), _codes(row.guards)), []).append(row.source)
    for (name, to, by, guards), sources in alike.items():
        yield name, _codes(sources), to, by, guards


def _named(action: Action) -> str:
    return f"{ACTION_TEXT[action]} `{action}`"


def _roles(roles: Iterable[Role]) -> str:
    known = set(roles)
    return "、".join(f"{ROLE_TEXT[role]} `{role}`" for role in Role if role in known)


def _codes(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def _co_tasks() -> Iterable[tuple[str, ...]]:
    for row in CO_TRANSITIONS:
        yield (
            f"{CO_TASK_STATE_TEXT[row.source]} `{row.source}`",
            f"`{row.step}`" + (" `*`" if row.note_required else ""),
            f"{CO_TASK_STATE_TEXT[row.target]} `{row.target}`",
            f"`{row.by}`",
        )


def _clocks() -> Iterable[tuple[str, ...]]:
    for metric, (starts, stops) in _METRICS.items():
        rungs = []
        for level, _ in LADDER[metric]:
            step = AUTOMATIC.get((metric, level))
            told = f"{LEVEL_TEXT[level]} `{level}`"
            rungs.append(told if step is None else f"{told} → {_named(step)}")
        yield f"{METRIC_TEXT[metric]} `{metric}`", starts, stops, "；".join(rungs)


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(heading)} |",
        f"|{' --- |' * len(heading)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


if __name__ == "__main__":
    PAGE.write_text(workflow_page(), "utf-8")
