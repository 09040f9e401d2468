"""The demo city's people, land and houses: made up, always the same, at the size of the real city.

Names are drawn from common surnames and given names; identity numbers are of a district that does
not exist (370299), mobile numbers begin with 154: nobody is meant. Nothing is said of minors.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.audit_chain import chain_of
from app.domain.errors import Conflict
from app.domain.identity import SYSTEM
from app.domain.registry import HouseUse, Kind, PlotUse, Relation, Source, Tag, Tenure
from app.registry import contents, writing
from app.registry.contents import Content, Stamp, Stay
from app.registry.kinds import RESIDENCES, SPECS
from app.store.crypto import FieldCipher

FULL: dict[Kind, int] = {
    Kind.PLOT: 12_000,
    Kind.BUILDING: 30_000,
    Kind.HOUSE: 210_000,
    Kind.HOUSEHOLD: 150_000,
    Kind.PERSON: 430_000,
}
_TENANTS = 0.03  # of the persons: by themselves, in no household
_CHUNK = 10_000
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_PREFIX = {kind: 0xDE3000 + place for place, kind in enumerate(Kind)}
_CODES = {
    Kind.PLOT: "DK",
    Kind.BUILDING: "LD",
    Kind.HOUSE: "FW",
    Kind.HOUSEHOLD: "HU",
    Kind.PERSON: "RK",
}
_SPREAD = 0.0018  # degrees around the middle of a grid

_SURNAMES = (
    "王王王李李李张张张刘刘陈陈杨杨赵赵黄周吴徐孙孙胡朱高林何郭马罗梁宋郑谢韩唐冯于于董萧程曹袁"
    "邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦"
)
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红建国文斌志鹏宇浩欣怡晨雨婷雪梅海波德"
    "福庆林春燕凤云峰晓东俊义成龙淑珍美玲荣利振兴光辉永健家豪瑞子涵诗思远安康宁乐"
)
_ROADS = ("向阳路", "福州路", "广州路", "胶州湾路", "兰州路", "泉州路", "常州路", "中心街",
          "东风街", "永安街", "前街", "后街", "南巷", "学府路", "新村路")  # fmt: skip
_TAGS = ((Tag.VOLUNTEER, 0.02), (Tag.LOW_INCOME, 0.012), (Tag.LIVING_ALONE, 0.015),
         (Tag.PARTY_HOUSEHOLD, 0.01))  # fmt: skip
_USES = (HouseUse.SELF_OCCUPIED,) * 7 + (HouseUse.RENTED, HouseUse.VACANT, HouseUse.BUSINESS)
_LAND = (PlotUse.HOMESTEAD,) * 5 + (PlotUse.FARMLAND,) * 3 + (PlotUse.CONSTRUCTION, PlotUse.FOREST)
_OTHERS = (Relation.SPOUSE, Relation.CHILD, Relation.PARENT, Relation.CHILD, Relation.OTHER)

_EMPTY = text(
    "SELECT NOT EXISTS (SELECT FROM registry_persons) AND NOT EXISTS (SELECT FROM registry_houses)"
    " AND NOT EXISTS (SELECT FROM registry_households) AND NOT EXISTS (SELECT FROM registry_plots)"
)
_LEAVES = text("""
SELECT code FROM grids AS place WHERE active AND level IN ('grid', 'micro')
  AND NOT EXISTS (SELECT FROM grids AS below WHERE below.parent_code = place.code AND below.active)
ORDER BY code
""")
_LEADERS = text("""
SELECT DISTINCT ON (grid_code) grid_code, id FROM staff
WHERE active AND role IN ('grid_leader', 'micro_grid_leader') ORDER BY grid_code, id
""")

PointOf = Callable[[str], tuple[float, float]]


class RegistersNotEmpty(Conflict):
    """登记册中已有记录，不再生成演示数据。"""

    code = "registers_not_empty"


class GridsMissing(Conflict):
    """还没有网格，请先建立演示城市。"""

    code = "grids_missing"


@dataclass(slots=True)
class _Maker:
    """Makes contents, one register after the other, from one stream of chance."""

    chance: random.Random
    grids: Sequence[str]
    point_of: PointOf
    counts: dict[Kind, int]
    today: date

    def id_of(self, kind: Kind, number: int) -> UUID:
        """A version 8 UUID: the same every time, in the order of the numbers."""
        return UUID(int=_PREFIX[kind] << 104 | 0x8 << 76 | 0x2 << 62 | number)

    def grid_of(self, kind: Kind, number: int) -> str:
        """Neighbouring numbers lie in one grid, whatever the kind."""
        return self.grids[number * len(self.grids) // self.counts[kind]]

    def below(self, kind: Kind, number: int, above: Kind) -> int:
        """The number of what a record leans on, in the same grid or next to it."""
        return number * self.counts[above] // self.counts[kind]

    def contents(self, kind: Kind) -> Iterator[tuple[UUID, Content]]:
        make = {
            Kind.PLOT: self._plot,
            Kind.BUILDING: self._building,
            Kind.HOUSE: self._house,
            Kind.HOUSEHOLD: self._household,
            Kind.PERSON: self._person,
        }[kind]
        for number in range(self.counts[kind]):
            common = {
                "code": f"{_CODES[kind]}{number:07}",
                "grid_code": self.grid_of(kind, number),
                "active": True,
            }
            yield self.id_of(kind, number), {**common, **make(number)}

    def _location(self, kind: Kind, number: int) -> dict[str, Any]:
        latitude, longitude = self.point_of(self.grid_of(kind, number))
        return {
            "latitude": round(latitude + self.chance.uniform(-_SPREAD, _SPREAD), 6),
            "longitude": round(longitude + self.chance.uniform(-_SPREAD, _SPREAD), 6),
            "coord_sys": "wgs84",
        }

    def _address(self, number: int) -> str:
        return f"{_ROADS[number % len(_ROADS)]}{number % 299 + 1}号"

    def _plot(self, number: int) -> Content:
        return {
            "use": self.chance.choice(_LAND).value,
            "area_m2": self.chance.randrange(120, 4_000),
            "address": self._address(number),
            "location": self._location(Kind.PLOT, number),
        }

    def _building(self, number: int) -> Content:
        return {
            "name": f"{number % 40 + 1}号楼",
            "address": self._address(self.below(Kind.BUILDING, number, Kind.PLOT)),
            "floors": self.chance.choice((1, 1, 2, 5, 6, 6, 11, 18)),
            "plot_id": self.id_of(Kind.PLOT, self.below(Kind.BUILDING, number, Kind.PLOT)),
            "location": self._location(Kind.BUILDING, number),
        }

    def _house(self, number: int) -> Content:
        building = self.below(Kind.HOUSE, number, Kind.BUILDING)
        road = self._address(self.below(Kind.BUILDING, building, Kind.PLOT))
        door = f"{number % 6 + 1}0{number % 2 + 1}"
        return {
            "address": f"{road}{building % 40 + 1}号楼{number % 3 + 1}单元{door}",
            "use": self.chance.choice(_USES).value,
            "building_id": self.id_of(Kind.BUILDING, building),
            "location": self._location(Kind.HOUSE, number),
        }

    def _household(self, number: int) -> Content:
        house = self.id_of(Kind.HOUSE, self.below(Kind.HOUSEHOLD, number, Kind.HOUSE))
        lives = [Stay(house, Tenure.OWNER, self._day(1985))]
        if number % 25 == 0 and number:  # some have a second house
            other = self.below(Kind.HOUSEHOLD, number, Kind.HOUSE) - 1
            lives.append(Stay(self.id_of(Kind.HOUSE, other), Tenure.OWNER, self._day(2005)))
        return {
            "member_count": self.chance.choice((1, 2, 2, 3, 3, 3, 4, 4, 5)),
            "tags": self._tags(),
            "name": self._name(),
            RESIDENCES: contents.in_order(lives),
        }

    def _person(self, number: int) -> Content:
        alone = self.chance.random() < _TENANTS
        household = self.below(Kind.PERSON, number, Kind.HOUSEHOLD)
        first = number == 0 or self.below(Kind.PERSON, number - 1, Kind.HOUSEHOLD) < household
        lives: tuple[Stay, ...] = ()
        if alone:
            house = self.id_of(Kind.HOUSE, self.below(Kind.PERSON, number, Kind.HOUSE))
            lives = (Stay(house, Tenure.TENANT, self._day(2018)),)
        relation = Relation.HEAD if first else self.chance.choice(_OTHERS)
        return {
            "household_id": None if alone else self.id_of(Kind.HOUSEHOLD, household),
            "relation": None if alone else relation.value,
            "tags": self._tags(),
            "name": self._name(),
            "phone": f"154{number * 7_919 % 100_000_000:08}",
            "id_number": self._id_number(number),
            RESIDENCES: lives,
        }

    def _name(self) -> str:
        given = self.chance.choice(_GIVEN)
        if self.chance.random() < 0.7:
            given += self.chance.choice(_GIVEN)
        return self.chance.choice(_SURNAMES) + given

    def _tags(self) -> tuple[str, ...]:
        roll = self.chance.random()
        for tag, share in _TAGS:
            if roll < share:
                return (tag.value,)
            roll -= share
        return ()

    def _day(self, since: int) -> date:
        first = date(since, 1, 1)
        return first + timedelta(days=self.chance.randrange((self.today - first).days))

    def _id_number(self, number: int) -> str:
        """No two are alike: 1,000 to each day of birth."""
        born = date(1940, 1, 1) + timedelta(days=number * 37 % 22_000)
        digits = f"370299{born:%Y%m%d}{number // 22_000:03}"
        total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
        return digits + "10X98765432"[total % 11]


async def fill(
    session: AsyncSession,
    cipher: FieldCipher,
    point_of: PointOf,
    *,
    share: float = 1.0,
    now: datetime,
) -> dict[Kind, int]:
    """Fill empty registers in the grids that are there; how many of each kind.

    Args:
        point_of: ``(latitude, longitude)`` in the middle of a grid.
        share: of the full size.

    Raises: RegistersNotEmpty, GridsMissing.
    """
    await writing.take_time(session)
    if not await session.scalar(_EMPTY):
        raise RegistersNotEmpty
    grids = list(await session.scalars(_LEAVES))
    if not grids:
        raise GridsMissing
    leaders = {row.grid_code: row.id for row in await session.execute(_LEADERS)}
    counts = {kind: max(1, round(count * share)) for kind, count in FULL.items()}
    chance = random.Random(2_635)  # noqa: S311 - always the same city, and nothing secret
    maker = _Maker(chance, grids, point_of, counts, now.date())
    digest = sha256()
    for kind in Kind:
        spec, everything = SPECS[kind], maker.contents(kind)
        stage = writing.Stage(session, spec)
        await stage.open()
        while chunk := list(islice(everything, _CHUNK)):
            lines = []
            for record_id, content in chunk:
                stamp = _stamp(chance, leaders.get(content["grid_code"]), now)
                lines.append(
                    contents.line_of(cipher, spec, record_id, content, version=1, stamp=stamp)
                )
                digest.update(repr(content).encode())
            await stage.write(lines)
            if spec.occupant:
                lives = {record_id: content[RESIDENCES] for record_id, content in chunk}
                await writing.set_residences(session, spec, lives, many=True)
        await writing.measure(session, spec)
    facts: dict[str, object] = {"digest": digest.hexdigest()}
    facts |= {kind.value: count for kind, count in counts.items()}
    chain = chain_of("registry")
    await audit.append(session, chain, actor=SYSTEM, action="seed_registry", facts=facts, now=now)
    return counts


def _stamp(chance: random.Random, leader: UUID | None, now: datetime) -> Stamp:
    """Four of five were seen on the spot, within the last year."""
    seen = leader is not None and chance.random() < 0.8
    at = now - timedelta(minutes=chance.randrange(365 * 24 * 60))
    if not seen:
        return Stamp(Source.DEMO, SYSTEM.id, now)
    return Stamp(Source.DEMO, SYSTEM.id, now, leader, at)
