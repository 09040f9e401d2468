"""A file's rows: what each means to the registers, and writing the good ones by thousands.

All of a file is one transaction, worked off in chunks: looked up together, decided one by one,
sealed, copied beside the table and taken over by one statement. What cannot be taken comes back
with its reasons; what somebody has seen on the spot is not overruled, unless that is asked for.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain import registry
from app.domain.audit_chain import chain_of, local_day
from app.domain.errors import Conflict
from app.domain.identity import SYSTEM, Actor
from app.domain.registry import HouseUse, Kind, Outcome, PlotUse, Source, Tenure
from app.registry import contents, queries, writing
from app.registry.columns import Layout
from app.registry.contents import Content, Stamp, Stay, in_order
from app.registry.kinds import RESIDENCES, SPECS
from app.registry.sheets import Row
from app.store.base import new_id
from app.store.crypto import FieldCipher, UnreadableValue

CHAIN = chain_of("registry")
ACTION = "import_registry"
CHUNK = 10_000

# Columns that name another record by its code, and what they become.
_REFERENCES: dict[str, tuple[str, Kind]] = {
    "plot_code": ("plot_id", Kind.PLOT),
    "building_code": ("building_id", Kind.BUILDING),
    "household_code": ("household_id", Kind.HOUSEHOLD),
    "house_code": ("house_id", Kind.HOUSE),
}
_REFERENCE_TEXT = {
    "plot_code": "地块编号",
    "building_code": "楼栋编号",
    "household_code": "户编号",
    "house_code": "房屋编号",
}
# What a new record cannot be without.
_NEEDED: dict[Kind, tuple[str, str]] = {
    Kind.PERSON: ("name", "姓名"),
    Kind.HOUSE: ("address", "房屋地址"),
    Kind.BUILDING: ("name", "楼栋名称"),
}
_DEFAULTS: dict[Kind, dict[str, Any]] = {
    Kind.PLOT: {"use": PlotUse.OTHER.value},
    Kind.HOUSE: {"use": HouseUse.SELF_OCCUPIED.value},
}
_CONFLICT = "网格员已上门核实过这条记录，内容与文件不同；确认以文件为准时请加 --overwrite"

_ONE_AT_A_TIME = text("SELECT pg_try_advisory_xact_lock(:lock)")
_LOCK = 0x6C69616E72656769  # "lianregi"
_ONE_PERSON = text("SELECT id, personal FROM registry_persons LIMIT 1")
_OPEN_GRIDS = text("SELECT code FROM grids WHERE active AND level IN ('grid', 'micro')")


class ImportRunning(Conflict):
    """另一个导入正在进行，请等它结束后再试。"""

    code = "import_running"


class KeyUnfit(Conflict):
    """密钥与登记册中已有的数据不符，没有导入任何内容。"""

    code = "key_unfit"


@dataclass(slots=True)
class Parsed:
    """A row that was read: its values by the names of ``columns``, and what is wrong with it."""

    row: Row
    values: dict[str, Any]
    errors: list[str]
    number_index: bytes | None = None


@dataclass(slots=True)
class Counts:
    """What became of the rows."""

    rows: int = 0
    of: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))

    @property
    def bad(self) -> int:
        return self.of[Outcome.INVALID] + self.of[Outcome.CONFLICT]


@dataclass(slots=True)
class _Match:
    id: UUID
    version: int
    source: Source
    content: Content


class Importer:
    """One file on its way into one register. ``open``, ``read`` and ``take`` chunks, ``close``."""

    def __init__(
        self,
        session: AsyncSession,
        cipher: FieldCipher,
        kind: Kind,
        layout: Layout,
        *,
        apply: bool,
        overwrite: bool = False,
        actor: Actor = SYSTEM,
        now: datetime,
    ) -> None:
        """Args: ``apply``: False only looks what would become of the rows."""
        self.session, self.cipher, self.spec = session, cipher, SPECS[kind]
        self.layout, self.apply, self.overwrite = layout, apply, overwrite
        self.actor, self.now, self.today = actor, now, local_day(now)
        self.counts = Counts()
        self._stage = writing.Stage(session, self.spec)
        self._grids: set[str] = set()
        self._seen: dict[str | bytes, int] = {}

    async def open(self) -> None:
        """Raises: ImportRunning, KeyUnfit."""
        if not await self.session.scalar(_ONE_AT_A_TIME, {"lock": _LOCK}):
            raise ImportRunning
        await writing.take_time(self.session)
        await self._try_key()
        self._grids = set(await self.session.scalars(_OPEN_GRIDS))
        if self.apply:
            await self._stage.open()

    def read(self, rows: Iterable[Row]) -> list[Parsed]:
        """Read the cells; needs no database, and may run beside ``take`` of the chunk before."""
        found = []
        for row in rows:
            values, errors = self.layout.read(row.cells)
            parsed = Parsed(row, values, [*row.faults, *errors])
            number = values.get("id_number")
            if number is not None:
                parsed.number_index = contents.index_of(self.cipher, self.spec, "id_number", number)
                if registry.is_minor(number, self.today):
                    parsed.errors.append("不登记未成年人的个人信息，请只计入户的人数")
            elif self.spec.kind is Kind.PERSON and "code" not in values and not errors:
                parsed.errors.append("人员编号和身份证号码至少填写一项，以便以后核对")
            self._check_point(parsed)
            self._check_repeated(parsed)
            found.append(parsed)
        return found

    async def take(self, chunk: Sequence[Parsed]) -> list[tuple[Row, list[str]]]:
        """Take the good rows of a chunk; the bad ones, with their reasons."""
        references = await self._references(chunk)
        matches = await self._matches([it for it in chunk if not it.errors])
        lines: list[writing.Line] = []
        lives: dict[UUID, Sequence[Stay]] = {}
        moved: list[UUID] = []
        bad = []
        for parsed in chunk:
            outcome, kept, content = self._decide(parsed, matches, references)
            self.counts.rows += 1
            self.counts.of[outcome] += 1
            if parsed.errors:
                bad.append((parsed.row, parsed.errors))
            elif outcome in (Outcome.CREATED, Outcome.UPDATED) and self.apply:
                record_id = kept.id if kept else new_id()
                lines.append(self._line(record_id, kept, content))
                if self.spec.occupant:
                    before = kept.content[RESIDENCES] if kept else ()
                    if content[RESIDENCES] != before:
                        lives[record_id] = content[RESIDENCES]
                        if kept:
                            moved.append(record_id)
        if lines:
            await self._stage.write(lines)
        if lives:
            await writing.set_residences(self.session, self.spec, lives, known=moved, many=True)
        return bad

    async def close(self, digest: str) -> None:
        """Tell the audit of the whole file. Args: ``digest``: its SHA-256."""
        if not self.apply:
            return
        if self.counts.rows > CHUNK:
            await writing.measure(self.session, self.spec)
        facts: dict[str, object] = {
            "kind": self.spec.kind.value,
            "file_sha256": digest,
            "rows": self.counts.rows,
            "overwrite": self.overwrite,
            **{outcome.value: count for outcome, count in self.counts.of.items()},
        }
        await audit.append(
            self.session, CHAIN, actor=self.actor, action=ACTION, facts=facts, now=self.now
        )

    async def _try_key(self) -> None:
        """What is sealed with another key could never be read by the service."""
        known = (await self.session.execute(_ONE_PERSON)).one_or_none()
        if known is not None:
            try:
                contents.unseal(self.cipher, SPECS[Kind.PERSON], known.id, known.personal)
            except UnreadableValue:
                raise KeyUnfit from None

    # -- a row by itself ----------------------------------------------------------------------

    def _check_point(self, parsed: Parsed) -> None:
        """Three columns become one point, or none. A datum that is not said would be a guess."""
        said = [parsed.values.pop(name, None) for name in ("latitude", "longitude", "coord_sys")]
        if said == [None, None, None]:
            return
        if None in said:
            parsed.errors.append("纬度、经度、坐标系须一起填写")
            return
        latitude, longitude, coord_sys = said
        parsed.values["location"] = {
            "latitude": latitude,
            "longitude": longitude,
            "coord_sys": coord_sys,
        }

    def _check_repeated(self, parsed: Parsed) -> None:
        keys = [parsed.values.get("code"), parsed.number_index]
        before = next((self._seen[key] for key in keys if key in self._seen), None)
        if before is not None:
            parsed.errors.append(f"与第{before}行重复")
        for key in keys:
            if key is not None:
                self._seen.setdefault(key, parsed.row.number)

    # -- a chunk ------------------------------------------------------------------------------

    async def _references(self, chunk: Sequence[Parsed]) -> Mapping[str, Mapping[str, UUID]]:
        """By column, the ids of the records whose codes it names."""
        found = {}
        for column, (_, kind) in _REFERENCES.items():
            codes = {it.values[column] for it in chunk if column in it.values}
            if codes:
                found[column] = await queries.ids_of_codes(self.session, SPECS[kind], codes)
        return found

    async def _matches(self, chunk: Sequence[Parsed]) -> dict[str | bytes, _Match]:
        """The records that are there already, by code and by hashed identity number."""
        rows = await queries.known(
            self.session,
            self.spec,
            codes={it.values["code"] for it in chunk if "code" in it.values},
            id_numbers=[it.number_index for it in chunk if it.number_index is not None],
            lock=self.apply,
        )
        found: dict[str | bytes, _Match] = {}
        for row in rows:
            content = contents.of_row(self.cipher, self.spec, row)
            match = _Match(row["id"], row["version"], Source(row["source"]), content)
            for key in (row["code"], row.get("id_number_index")):
                if key is not None:
                    found[key] = match
        return found

    def _decide(
        self,
        parsed: Parsed,
        matches: Mapping[str | bytes, _Match],
        references: Mapping[str, Mapping[str, UUID]],
    ) -> tuple[Outcome, _Match | None, Content]:
        values = self._with_ids(parsed, references)
        code, index = values.get("code"), parsed.number_index
        by_code = matches.get(code) if code is not None else None
        by_number = matches.get(index) if index is not None else None
        if by_code and by_number and by_code.id != by_number.id:
            parsed.errors.append("人员编号与身份证号码属于两条不同的记录")
        if "grid_code" in values and values["grid_code"] not in self._grids:
            parsed.errors.append(f"网格编码 {values['grid_code']} 不存在，或不是网格、微网格")
        match = by_code or by_number
        needed = _NEEDED.get(self.spec.kind)
        if match is None and needed is not None and needed[0] not in values and not parsed.errors:
            parsed.errors.append(f"{needed[1]}：新记录必填")
        if parsed.errors:
            return Outcome.INVALID, None, {}
        content = self._merged(match, values)
        outcome = registry.decide_imported(
            match.content if match else None, match.source if match else None, content
        )
        if outcome is Outcome.CONFLICT:
            if self.overwrite:
                return Outcome.UPDATED, match, content
            parsed.errors.append(_CONFLICT)
        return outcome, match, content

    def _with_ids(
        self, parsed: Parsed, references: Mapping[str, Mapping[str, UUID]]
    ) -> dict[str, Any]:
        values = dict(parsed.values)
        for column, (name, _) in _REFERENCES.items():
            code = values.pop(column, None)
            if code is None:
                continue
            record_id = references[column].get(code)
            if record_id is None:
                parsed.errors.append(f"{_REFERENCE_TEXT[column]} {code} 不存在，请先导入")
            values[name] = record_id
        return values

    def _merged(self, match: _Match | None, values: dict[str, Any]) -> Content:
        """The content with the values of the file put over what is kept: an empty cell says
        nothing."""
        lives = self._residence(values)
        if match is not None:
            content = {**match.content, **values}
        else:
            content = {
                **dict.fromkeys(self.spec.content),
                "active": True,
                **({"tags": ()} if "tags" in self.spec.fields else {}),
                **_DEFAULTS.get(self.spec.kind, {}),
                **values,
            }
        if self.spec.occupant:
            kept = match.content[RESIDENCES] if match else ()
            if lives is None:
                content[RESIDENCES] = kept
            else:
                others = [it for it in kept if it.house_id != lives.house_id or it.until]
                content[RESIDENCES] = in_order((*others, _known_better(kept, lives)))
        return content

    def _residence(self, values: dict[str, Any]) -> Stay | None:
        """Take the residence out of the values; None: the row names no house."""
        house_id = values.pop("house_id", None)
        tenure, since, until = (values.pop(name, None) for name in ("tenure", "since", "until"))
        if house_id is None:
            return None
        return Stay(house_id, Tenure(tenure or Tenure.OWNER), since, until)

    def _line(self, record_id: UUID, kept: _Match | None, content: Content) -> writing.Line:
        stamp = Stamp(Source.IMPORTED, self.actor.id, self.now)
        version = kept.version + 1 if kept else 1
        return contents.line_of(
            self.cipher, self.spec, record_id, content, version=version, stamp=stamp
        )


def _known_better(kept: Collection[Stay], said: Stay) -> Stay:
    """``said`` with the day since when they live there, where only the kept one knows it."""
    now_there = [it for it in kept if it.house_id == said.house_id and it.until is None]
    since: date | None = next((it.since for it in now_there), None)
    return said if said.since is not None else said._replace(since=since)
