"""The records of one kind that a batch touches: as they are kept, and as they become."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain import registry
from app.domain.errors import FieldError
from app.domain.identity import Actor
from app.domain.registry import Kept, Kind, Outcome, Source
from app.registry import contents, queries, writing
from app.registry.contents import Content, Stamp
from app.registry.forms import RecordIn
from app.registry.kinds import RESIDENCES, SPECS, KindSpec
from app.store.base import new_id
from app.store.crypto import FieldCipher

ACTION = "collect"


@dataclass(slots=True)
class Entry:
    """A record as it is kept, and as it will be kept."""

    id: UUID
    version: int
    content: Content
    stamp: Stamp
    is_new: bool = False
    moved_house: bool = False
    facts: dict[str, object] | None = None  # for the audit: set once something was written


@dataclass(frozen=True, slots=True)
class Rival:
    """Who stands there now, and what differs; ``sent`` is the content that was refused."""

    entry: Entry
    updated_by: str | None
    differences: Sequence[str]
    sent: Content


@dataclass(slots=True)
class Answer:
    """What became of one record."""

    client_id: str | None
    kind: Kind | None = None
    outcome: Outcome = Outcome.INVALID
    id: UUID | None = None
    version: int | None = None
    errors: list[FieldError] = field(default_factory=list)
    rival: Rival | None = None


# fmt: off
_GRID = FieldError("/data/grid_code", "grid_not_yours", "没有这个网格，或不在您的工作范围内")
_NOT_FOUND = FieldError("/id", "record_not_found", "没有找到该记录，或您无权修改")
_CODE_TAKEN = FieldError("/data/code", "code_taken", "该编号已用于另一条记录")
_NUMBER_TAKEN = FieldError("/data/id_number", "id_number_taken", "该身份证号码已登记在另一条记录中")
# fmt: on


def _taken_by(other: Entry, sent: Content) -> FieldError:
    """Which of its numbers a content shares with another record."""
    same_code = sent["code"] is not None and other.content["code"] == sent["code"]
    return _CODE_TAKEN if same_code else _NUMBER_TAKEN


def _leans_on_nothing(pointer: str) -> FieldError:
    return FieldError(f"/data/{pointer}", "reference_missing", "所引用的记录不存在，或没有保存成功")


class Register:
    """The records of one kind that a batch touches, as they are and as they become."""

    def __init__(
        self,
        session: AsyncSession,
        cipher: FieldCipher,
        spec: KindSpec,
        actor: Actor,
        now: datetime,
    ) -> None:
        self.session, self.cipher, self.spec = session, cipher, spec
        self.actor, self.now, self.root = actor, now, queries.root_of(actor)
        self._by: dict[str, dict[Any, Entry]] = {"id": {}, "code": {}, "id_number": {}}

    async def take(self, records: Mapping[int, RecordIn], answers: Sequence[Answer]) -> None:
        sent = {at: it.data.content(self.spec.kind) for at, it in records.items()}
        await self._check_places(sent, answers)
        await self._check_leanings(sent, answers)
        await self._load([it.id for it in records.values() if it.id is not None], sent.values())
        for at, record in records.items():
            if not answers[at].errors:
                self._take_one(record, sent[at], answers[at])
        await self._write()

    # -- before ------------------------------------------------------------------------------

    async def _check_places(self, sent: Mapping[int, Content], answers: Sequence[Answer]) -> None:
        codes = {content["grid_code"] for content in sent.values()}
        here = await queries.grids_below(self.session, codes, self.root)
        for at, content in sent.items():
            if content["grid_code"] not in here:
                answers[at].errors.append(_GRID)

    async def _check_leanings(self, sent: Mapping[int, Content], answers: Sequence[Answer]) -> None:
        for name, kind in self.spec.leans_on.items():
            wanted = {content[name] for content in sent.values() if content[name] is not None}
            there = await queries.ids_below(self.session, SPECS[kind], wanted, self.root)
            for at, content in sent.items():
                if content[name] is not None and content[name] not in there:
                    answers[at].errors.append(_leans_on_nothing(name))
        if self.spec.occupant is None:
            return
        houses = {it.house_id for content in sent.values() for it in content[RESIDENCES]}
        there = await queries.ids_below(self.session, SPECS[Kind.HOUSE], houses, self.root)
        for at, content in sent.items():
            if any(it.house_id not in there for it in content[RESIDENCES]):
                answers[at].errors.append(_leans_on_nothing(RESIDENCES))

    async def _load(self, ids: Collection[UUID], sent: Collection[Content]) -> None:
        numbers = {it["id_number"] for it in sent if it.get("id_number") is not None}
        rows = await queries.known(
            self.session,
            self.spec,
            ids=ids,
            codes={it["code"] for it in sent if it["code"] is not None},
            id_numbers=[
                contents.index_of(self.cipher, self.spec, "id_number", number) for number in numbers
            ],
        )
        for row in rows:
            stamp = Stamp(
                Source(row["source"]),
                row["updated_by"],
                row["updated_at"],
                row["collector_id"],
                row["collected_at"],
            )
            content = contents.of_row(self.cipher, self.spec, row)
            self._remember(Entry(row["id"], row["version"], content, stamp))

    def _remember(self, entry: Entry) -> None:
        self._by["id"][entry.id] = entry
        for name in ("code", "id_number"):
            value = entry.content.get(name)
            if value is not None:
                self._by[name][value] = entry

    # -- one ---------------------------------------------------------------------------------

    def _take_one(self, record: RecordIn, sent: Content, answer: Answer) -> None:
        entry = None if record.id is None else self._by["id"].get(record.id)
        namesakes = [
            other
            for name in ("code", "id_number")
            if (value := sent.get(name)) is not None
            and (other := self._by[name].get(value)) is not None
        ]
        if entry is None and record.base_version is None and namesakes:
            entry = namesakes[0]  # somebody registered the same meanwhile
        answer.errors += self._refusals(record, entry, namesakes, sent)
        if answer.errors:
            return
        kept = None if entry is None else Kept(entry.version, entry.content)
        answer.outcome = registry.decide(kept, sent, base_version=record.base_version)
        match answer.outcome:
            case Outcome.CREATED:
                entry = Entry(record.id or new_id(), 1, sent, self._stamp(record, None), True)
                entry.moved_house = True
                self._tell(entry, answer.outcome, ())
                self._remember(entry)
            case Outcome.CONFLICT if entry is not None:
                differ = registry.differences(entry.content, sent)
                answer.rival = Rival(entry, None, differ, sent)
            case Outcome.UPDATED if entry is not None:
                self._change(entry, record, sent)
            case Outcome.UNCHANGED if entry is not None:
                self._confirm(entry, record)
        if entry is not None:
            answer.id, answer.version = entry.id, entry.version

    def _refusals(
        self, record: RecordIn, entry: Entry | None, namesakes: Sequence[Entry], sent: Content
    ) -> list[FieldError]:
        """What the decision must not be asked for."""
        if entry is not None and not entry.content["grid_code"].startswith(self.root):
            if entry.id == record.id:
                return [_NOT_FOUND]
            return [_taken_by(entry, sent)]
        if entry is None and record.base_version is not None:
            return [_NOT_FOUND]
        others = [it for it in namesakes if entry is None or it.id != entry.id]
        return [_taken_by(it, sent) for it in others]

    def _change(self, entry: Entry, record: RecordIn, sent: Content) -> None:
        differ = registry.differences(entry.content, sent)
        entry.moved_house |= RESIDENCES in differ
        entry.content, entry.version = sent, entry.version + 1
        entry.stamp = self._stamp(record, entry.stamp)
        self._tell(entry, Outcome.UPDATED, differ)
        self._remember(entry)

    def _confirm(self, entry: Entry, record: RecordIn) -> None:
        """Seen on the spot, and nothing is new: that alone makes it fresh."""
        seen_at = entry.stamp.collected_at
        if seen_at is not None and seen_at >= record.collected_at:
            return
        entry.stamp = replace(
            entry.stamp,
            source=Source.COLLECTED,
            collector_id=self.actor.id,
            collected_at=record.collected_at,
        )
        self._tell(entry, Outcome.UNCHANGED, ())

    def _stamp(self, record: RecordIn, before: Stamp | None) -> Stamp:
        seen_at = before.collected_at if before else None
        at = record.collected_at if seen_at is None else max(seen_at, record.collected_at)
        return Stamp(Source.COLLECTED, self.actor.id, self.now, self.actor.id, at)

    def _tell(self, entry: Entry, outcome: Outcome, differ: Sequence[str]) -> None:
        """The names of what changed, never what it changed to."""
        before = entry.facts or {}
        told = before.get("fields")
        entry.facts = {
            "kind": self.spec.kind.value,
            "outcome": str(before.get("outcome", outcome)),
            "record_version": entry.version,
            "grid": entry.content["grid_code"],
            "fields": sorted({*(told if isinstance(told, list) else ()), *differ}),
        }

    # -- after -------------------------------------------------------------------------------

    async def _write(self) -> None:
        changed = [it for it in self._by["id"].values() if it.facts is not None]
        lines = [
            contents.line_of(
                self.cipher, self.spec, it.id, it.content, version=it.version, stamp=it.stamp
            )
            for it in changed
        ]
        await writing.write(self.session, self.spec, lines)
        moved = (
            {it.id: it.content[RESIDENCES] for it in changed if it.moved_house}
            if (self.spec.occupant)
            else {}
        )
        if moved:
            known = [it.id for it in changed if it.moved_house and not it.is_new]
            await writing.set_residences(self.session, self.spec, moved, known=known)
        told = {it.id: it.facts for it in changed if it.facts is not None}
        await audit.append_each(self.session, told, actor=self.actor, action=ACTION, now=self.now)
