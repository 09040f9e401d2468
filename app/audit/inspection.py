"""Reading the whole audit again, to find what was altered.

``Inspection`` is the arithmetic: it is given one chain after the other, and at last the days.
``inspect`` feeds it from the database, as of one moment, in one pass over both tables.

What is looked for: entries altered, taken out, exchanged or made up; a history that says other
than the audit, or things that stand in the tables and are not told of (so that the end of a chain
is missed, and the whole of one); days that do not have the root they were sealed with; days that
differ from the list kept off the machine.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import queries
from app.domain import audit_chain
from app.domain.audit_chain import Break, DayFault, Entry, Fault, MerkleTree, SealedDay

_AT_ONCE = 2_000
_FINDINGS_KEPT = 1_000

_FAULT_TEXT: dict[Fault, str] = {
    Fault.MISSING: "这一条缺失，记录被删除过",
    Fault.REPEATED: "序号重复，记录是后加的",
    Fault.ALTERED: "内容与摘要不符，记录被改动或调换过",
    Fault.BACKWARDS: "时间早于上一条",
}
_DAY_FAULT_TEXT: dict[DayFault, str] = {
    DayFault.MISSING: "这一天的封存记录缺失",
    DayFault.ALTERED: "封存记录被改动过",
    DayFault.UNCHAINED: "封存记录与前一天不衔接，之前的封存记录被删除或重做过",
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step of a subject's own history. One entry of its chain names its ``version``."""

    chain: UUID
    version: int
    action: str
    actor_id: UUID
    actor_role: str


@dataclass(frozen=True, slots=True)
class Owed:
    """Something that stands in the subject's tables, so that its chain has an entry of this
    ``action`` (of any, if None) whose fact ``name`` says ``value`` (if a name is given)."""

    chain: UUID
    action: str | None
    name: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, and where it is: in a chain (at an entry, if one can be named) or in a day."""

    text: str
    chain: UUID | None = None
    seq: int | None = None
    day: date | None = None

    def line(self) -> str:
        if self.day is not None:
            return f"{self.day}：{self.text}"
        place = f"第 {self.seq} 条" if self.seq is not None else "整链"
        return f"链 {self.chain} {place}：{self.text}"


@dataclass(frozen=True, slots=True)
class KeptDay:
    """A sealed day as it stands in the list kept off the machine."""

    day: date
    entries: int
    root: bytes
    hash: bytes


@dataclass(slots=True)
class Inspection:
    """What has been read so far, and what was wrong with it.

    Args:
        days: the sealed days, oldest first.
        kept: the same from a list that was kept elsewhere, if there is one.
    """

    days: Sequence[SealedDay]
    kept: Sequence[KeptDay] = ()
    entries: int = 0
    chains: int = 0
    unsealed: int = 0  # entries of days after the last sealed one
    faults: int = 0
    findings: list[Finding] = field(default_factory=list)  # the first of them
    _trees: dict[date, MerkleTree] = field(default_factory=dict)

    def _find(self, finding: Finding) -> None:
        self.faults += 1
        if len(self.findings) < _FINDINGS_KEPT:
            self.findings.append(finding)

    def chain(
        self,
        chain: UUID,
        entries: Sequence[Entry],
        history: Sequence[Recorded],
        owed: Sequence[Owed] = (),
    ) -> None:
        """Look at one chain, whole and in order, and at what its subject's tables say."""
        self.chains += 1
        self.entries += len(entries)
        broken = audit_chain.verify_chain(entries)
        if broken is not None:
            self._find(Finding(_FAULT_TEXT[broken.fault], chain, broken.seq))
        self._compare(chain, entries, history, broken)
        if broken is None:
            self._ask_for(chain, entries, owed)
        last_day = self.days[-1].day if self.days else date.min
        for entry in entries:
            day = audit_chain.local_day(entry.at)
            if day > last_day:
                self.unsealed += 1
                continue
            tree = self._trees.get(day)
            if tree is None:
                tree = self._trees[day] = MerkleTree()
            tree.add(entry.hash)

    def _compare(
        self,
        chain: UUID,
        entries: Sequence[Entry],
        history: Sequence[Recorded],
        broken: Break | None,
    ) -> None:
        """Every step has exactly one entry and every such entry a step, by the same person."""
        steps = {step.version: step for step in history}
        for entry in entries:
            version = _version_of(entry)
            if version is None:
                continue
            step = steps.pop(version, None)
            if step is None:
                self._find(
                    Finding(f"办理记录中没有第 {version} 步，或有两条审计", chain, entry.seq)
                )
            elif (step.action, step.actor_id, step.actor_role) != (
                entry.action,
                entry.actor_id,
                entry.actor_role,
            ):
                self._find(Finding(f"办理记录第 {version} 步与审计不符", chain, entry.seq))
        if broken is not None:
            return  # where a chain is broken, enough is said
        if not entries and steps:
            self._find(Finding(f"办理记录有 {len(steps)} 步，审计链却不存在", chain))
            return
        for version in islice(sorted(steps), 3):
            self._find(
                Finding(f"办理记录第 {version} 步没有审计，链尾被截断", chain, len(entries) + 1)
            )

    def _ask_for(self, chain: UUID, entries: Sequence[Entry], owed: Sequence[Owed]) -> None:
        told: set[tuple[str | None, str | None, str | None]] = set()
        for entry in entries if owed else ():
            for action in (entry.action, None):
                told.add((action, None, None))
                told.update((action, name, str(value)) for name, value in _facts(entry).items())
        missing = [it for it in owed if (it.action, it.name, it.value) not in told]
        for it in missing[:3]:
            what = "：".join(filter(None, (it.action, it.name, it.value)))
            self._find(Finding(f"数据表中有而审计中没有（{what}），链尾被截断", chain))

    def finish(self) -> None:
        """Look at the days, after the last chain."""
        wrong = audit_chain.verify_days(self.days)
        if wrong is not None:
            self._find(Finding(_DAY_FAULT_TEXT[wrong[1]], day=wrong[0]))
        sealed_days = {sealed.day: sealed for sealed in self.days}
        for sealed in self.days:
            tree = self._trees.pop(sealed.day, None) or MerkleTree()
            if tree.leaves != sealed.entries:
                said = f"封存时有 {sealed.entries} 条，现有 {tree.leaves} 条"
                self._find(Finding(said, day=sealed.day))
            elif tree.root() != sealed.root:
                self._find(Finding("当天的记录与封存时不同", day=sealed.day))
        for day in sorted(self._trees):
            self._find(Finding("有记录，却没有封存记录", day=day))
        for kept in self.kept:
            known = sealed_days.get(kept.day)
            if known is None:
                self._find(Finding("外存清单中有这一天，数据库中没有", day=kept.day))
            elif (known.entries, known.root, known.hash) != (kept.entries, kept.root, kept.hash):
                self._find(Finding("封存记录与外存清单不一致", day=kept.day))


def _facts(entry: Entry) -> dict[str, Any]:
    try:
        facts = entry.said()
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}  # else it was altered, which the hash has told


def _version_of(entry: Entry) -> int | None:
    version = _facts(entry).get("version")
    return version if isinstance(version, int) else None


# --- from the database ---------------------------------------------------------------------------

_COUNT = text("SELECT count(*) FROM audit_entries")
# Times that no Python can hold are no times of ours: null, and the hash does not fit.
_ENTRIES = text("""
SELECT chain, seq, actor_id, actor_role, action, facts::text AS facts, hash,
  CASE WHEN at >= timestamptz '1970-01-01Z' AND at < timestamptz '9999-01-01Z'
       THEN (extract(epoch FROM at) * 1000000)::bigint END AS at_us
FROM audit_entries ORDER BY chain, seq
""")
_ANY_TIME = text("""
SELECT set_config('statement_timeout', '0', true),
  set_config('idle_in_transaction_session_timeout', '0', true)
""")

_NOTHING_OWED = """
SELECT NULL::uuid AS chain, NULL AS action, NULL AS name, NULL AS value WHERE false
"""

Group = tuple[UUID, list[Any]]


async def inspect(
    session: AsyncSession,
    recorded: str,
    owed: str = _NOTHING_OWED,
    *,
    kept: Sequence[KeptDay] = (),
    progress: Callable[[int, int], object] = lambda _done, _all: None,
) -> Inspection:
    """Read everything as of one moment and return what was found.

    Args:
        session: one whose transaction has not yet begun.
        recorded: a SELECT of ``chain, version, action, actor_id, actor_role`` over the histories
            that must agree with their chains, in the order of chain and version.
        owed: a SELECT of ``chain, action, name, value``, see ``Owed``, in the order of chain.
        progress: told now and then how many entries of how many are read.
    """
    as_of_now = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    await session.connection(execution_options=as_of_now)
    await session.execute(_ANY_TIME)
    total = await session.scalar(_COUNT) or 0
    found = Inspection(await queries.roots(session), kept)
    streams = [_grouped(session, it) for it in (_ENTRIES, text(recorded), text(owed))]
    async for chain, (rows, steps, things) in _side_by_side(*streams):
        found.chain(
            chain,
            [_entry(row) for row in rows],
            [
                Recorded(chain, step.version, step.action, step.actor_id, step.actor_role)
                for step in steps
            ],
            [Owed(chain, thing.action, thing.name, thing.value) for thing in things],
        )
        progress(found.entries, total)
    found.finish()
    return found


async def _grouped(session: AsyncSession, statement: Any) -> AsyncIterator[Group]:
    """The rows of each chain together; they come in the order of their chains."""
    rows = await session.stream(statement)
    group: Group | None = None
    async for some in rows.partitions(_AT_ONCE):  # row by row costs a switch of contexts each
        for row in some:
            if group is None or row.chain != group[0]:
                if group is not None:
                    yield group
                group = (row.chain, [])
            group[1].append(row)
    if group is not None:
        yield group


async def _side_by_side(
    *streams: AsyncIterator[Group],
) -> AsyncIterator[tuple[UUID, list[list[Any]]]]:
    """Each chain with what every stream has of it, which may be nothing."""
    heads = [await anext(stream, None) for stream in streams]
    while chains := [head[0] for head in heads if head is not None]:
        chain = min(chains)
        yield chain, [head[1] if head is not None and head[0] == chain else [] for head in heads]
        for place, head in enumerate(heads):
            if head is not None and head[0] == chain:
                heads[place] = await anext(streams[place], None)


def _entry(row: Any) -> Entry:
    return Entry(
        chain=row.chain,
        seq=row.seq,
        at=audit_chain.instant(row.at_us or 0),
        actor_id=row.actor_id,
        actor_role=row.actor_role,
        action=row.action,
        facts=queries.facts_of(row.facts),
        hash=row.hash,
    )


# --- the list that is kept off the machine -------------------------------------------------------


def written(days: Iterable[SealedDay]) -> Iterable[str]:
    """The lines of the list: day, entries, root, hash."""
    for sealed in days:
        yield f"{sealed.day}\t{sealed.entries}\t{sealed.root.hex()}\t{sealed.hash.hex()}"


def read(lines: Iterable[str]) -> list[KeptDay]:
    """The list again; blank lines and what begins with # say nothing.

    Raises: ValueError naming the line that is none of ours.
    """
    days = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            day, entries, root, hash_ = line.split()
            days.append(
                KeptDay(
                    date.fromisoformat(day), int(entries), bytes.fromhex(root), bytes.fromhex(hash_)
                )
            )
        except ValueError:
            raise ValueError(f"line {number} is not: day, entries, root, hash") from None
    return days
