"""人地房: what is kept of people, land and houses, and what a record that comes in means.

A household (户) is not a house (房屋): people form the one and live in the other, and who lives
where since when is a residence of its own, many to many. Kept is the minimum that serves the grid.
Left out, because the law calls them sensitive (PIPL Art. 28): religion, health (so also 残疾), and
everything of minors, who only count in their household's ``member_count``.

Freshness: what nobody has confirmed on the spot for ``FRESH_DAYS`` is stale.

Source: domain C5 (fields and tags in use), GB/T 4761 (family relations).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

FRESH_DAYS = 180
BATCH_LIMIT = 200  # records that a phone sends at once
ADULT_AGE = 18


class Kind(StrEnum):
    """What a record is of, in the order in which records may lean on each other."""

    PLOT = "plot"
    BUILDING = "building"
    HOUSE = "house"
    HOUSEHOLD = "household"
    PERSON = "person"


KIND_TEXT: dict[Kind, str] = {
    Kind.PLOT: "地块",
    Kind.BUILDING: "楼栋",
    Kind.HOUSE: "房屋",
    Kind.HOUSEHOLD: "户",
    Kind.PERSON: "人口",
}


class PlotUse(StrEnum):
    HOMESTEAD = "homestead"
    FARMLAND = "farmland"
    FOREST = "forest"
    CONSTRUCTION = "construction"
    OTHER = "other"


PLOT_USE_TEXT: dict[PlotUse, str] = {
    PlotUse.HOMESTEAD: "宅基地",
    PlotUse.FARMLAND: "耕地",
    PlotUse.FOREST: "林地",
    PlotUse.CONSTRUCTION: "建设用地",
    PlotUse.OTHER: "其他",
}


class HouseUse(StrEnum):
    SELF_OCCUPIED = "self_occupied"
    RENTED = "rented"
    VACANT = "vacant"
    BUSINESS = "business"
    OTHER = "other"


HOUSE_USE_TEXT: dict[HouseUse, str] = {
    HouseUse.SELF_OCCUPIED: "自住",
    HouseUse.RENTED: "出租",
    HouseUse.VACANT: "空置",
    HouseUse.BUSINESS: "经营",
    HouseUse.OTHER: "其他",
}


class Relation(StrEnum):
    """To the head of the household. The groups of GB/T 4761."""

    HEAD = "head"
    SPOUSE = "spouse"
    CHILD = "child"
    GRANDCHILD = "grandchild"
    PARENT = "parent"
    GRANDPARENT = "grandparent"
    SIBLING = "sibling"
    OTHER = "other"


RELATION_TEXT: dict[Relation, str] = {
    Relation.HEAD: "户主",
    Relation.SPOUSE: "配偶",
    Relation.CHILD: "子女",
    Relation.GRANDCHILD: "孙子女",
    Relation.PARENT: "父母",
    Relation.GRANDPARENT: "祖父母",
    Relation.SIBLING: "兄弟姐妹",
    Relation.OTHER: "其他",
}


class Tag(StrEnum):
    """Of persons and households. 残疾 is missing on purpose: it says something of health."""

    PARTY_HOUSEHOLD = "party_household"
    GRID_LEADER = "grid_leader"
    LIVING_ALONE = "living_alone"
    LOW_INCOME = "low_income"
    VOLUNTEER = "volunteer"


TAG_TEXT: dict[Tag, str] = {
    Tag.PARTY_HOUSEHOLD: "党员中心户",
    Tag.GRID_LEADER: "网格长",
    Tag.LIVING_ALONE: "独居老人",
    Tag.LOW_INCOME: "低保",
    Tag.VOLUNTEER: "志愿者",
}


class Tenure(StrEnum):
    """By what right somebody lives in a house."""

    OWNER = "owner"
    TENANT = "tenant"
    GUEST = "guest"


TENURE_TEXT: dict[Tenure, str] = {
    Tenure.OWNER: "自有",
    Tenure.TENANT: "租住",
    Tenure.GUEST: "借住",
}


class Source(StrEnum):
    """How the present content of a record came about."""

    COLLECTED = "collected"
    IMPORTED = "imported"
    DEMO = "demo"


SOURCE_TEXT: dict[Source, str] = {
    Source.COLLECTED: "上门采集",
    Source.IMPORTED: "批量导入",
    Source.DEMO: "演示数据",
}


# --- people ---------------------------------------------------------------------------------------


def is_minor(id_number: str, today: date) -> bool:
    """Whether whoever has this (good) number is younger than 18."""
    born = int(id_number[6:14])
    return today.year * 10_000 + today.month * 100 + today.day - born < ADULT_AGE * 10_000


# --- what a record that comes in means -----------------------------------------------------------


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"  # confirmed: the same as what is kept
    CONFLICT = "conflict"
    INVALID = "invalid"


OUTCOME_TEXT: dict[Outcome, str] = {
    Outcome.CREATED: "已新增",
    Outcome.UPDATED: "已更新",
    Outcome.UNCHANGED: "已核实，内容无变化",
    Outcome.CONFLICT: "与他人后来的修改不一致",
    Outcome.INVALID: "未保存，内容有误",
}

Content = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it is kept now."""

    version: int
    content: Content


def decide(kept: Kept | None, incoming: Content, *, base_version: int | None) -> Outcome:
    """What a collected record means to the one that is kept.

    ``base_version`` is the version that the collector had before them, None for a new record. The
    same content twice is no conflict, whoever wrote it: both have seen the same.
    """
    if kept is None:
        return Outcome.CREATED if base_version is None else Outcome.INVALID
    if not differences(kept.content, incoming):
        return Outcome.UNCHANGED
    return Outcome.UPDATED if base_version == kept.version else Outcome.CONFLICT


def decide_imported(kept: Content | None, source: Source | None, incoming: Content) -> Outcome:
    """What a row of a file means: files do not overrule what somebody has seen on the spot."""
    if kept is None:
        return Outcome.CREATED
    if not differences(kept, incoming):
        return Outcome.UNCHANGED
    return Outcome.CONFLICT if source is Source.COLLECTED else Outcome.UPDATED


def differences(kept: Content, incoming: Content) -> Sequence[str]:
    """The names of the fields that differ, sorted. A field that one side lacks is None there."""
    names = kept.keys() | incoming.keys()
    return sorted(name for name in names if kept.get(name) != incoming.get(name))


def stale_before(now: datetime, days: int = FRESH_DAYS) -> datetime:
    """What was confirmed before this is stale."""
    return now - timedelta(days=days)
