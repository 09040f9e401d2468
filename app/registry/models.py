"""人地房: plots, buildings, houses, households, persons, and who lives where since when.

Names and numbers of people are sealed together in ``personal``, bound to their row; telephone and
identity numbers also stand as keyed hashes, to be found by the exact number. Every record says who
saw it on the spot and when (``collector_id``, ``collected_at``; none: nobody yet) and how its
present content came about (``source``). Grid codes are those of ``grids``; whoever writes a record
looks that its grid is there.
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.domain.registry import HouseUse, PlotUse, Relation, Source, Tenure
from app.store.base import Base

# Ranges of codes are ranges of bytes, not of the city's collation.
GridCode = String(17, collation="C")
Code = String(40, collation="C")
_Tags = ARRAY(String(40))


class Recorded:
    """What every record has. ``version`` counts contents; a confirmation leaves it as it is."""

    # Of a subclass: further indexes and constraints.
    more: ClassVar[tuple[Any, ...]] = ()

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(Code)  # the city's own number of it
    grid_code: Mapped[str] = mapped_column(GridCode)
    active: Mapped[bool] = mapped_column(server_default=sql("true"))  # not pulled down, moved away
    version: Mapped[int] = mapped_column(server_default=sql("1"))
    source: Mapped[Source]
    collector_id: Mapped[UUID | None]
    collected_at: Mapped[datetime | None]
    updated_by: Mapped[UUID]  # of the present content
    updated_at: Mapped[datetime]

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        name = cls.__tablename__  # type: ignore[attr-defined]
        return (
            Index(f"uq_{name}_code", "code", unique=True, postgresql_where=sql("code IS NOT NULL")),
            # Lists go through a grid's subtree in this order; progress reads nothing else.
            Index(
                f"ix_{name}_grid",
                "grid_code",
                "id",
                postgresql_include=["collected_at"],
                postgresql_where=sql("active"),
            ),
            *cls.more,
        )


class Located:
    """A point, if known: in WGS-84, and as it was received."""

    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    location: Mapped[dict[str, Any] | None]  # latitude, longitude, coord_sys


class Plot(Recorded, Located, Base):
    """地块."""

    __tablename__ = "registry_plots"
    more = (CheckConstraint("area_m2 > 0", name="area"),)

    use: Mapped[PlotUse]
    area_m2: Mapped[int | None]
    address: Mapped[str | None] = mapped_column(Text)


class Building(Recorded, Located, Base):
    """楼栋."""

    __tablename__ = "registry_buildings"
    more = (Index(None, "plot_id", postgresql_where=sql("plot_id IS NOT NULL")),)

    name: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    floors: Mapped[int | None] = mapped_column(SmallInteger)
    plot_id: Mapped[UUID | None] = mapped_column(ForeignKey("registry_plots.id"))


class House(Recorded, Located, Base):
    """房屋: what one can live in. How many households do, the residences say."""

    __tablename__ = "registry_houses"
    more = (Index(None, "building_id", postgresql_where=sql("building_id IS NOT NULL")),)

    address: Mapped[str] = mapped_column(Text)
    use: Mapped[HouseUse]
    building_id: Mapped[UUID | None] = mapped_column(ForeignKey("registry_buildings.id"))


class Household(Recorded, Base):
    """户. ``personal`` is sealed {name}: of its head. Minors are only in ``member_count``."""

    __tablename__ = "registry_households"
    more = (
        CheckConstraint("member_count BETWEEN 1 AND 99", name="member_count"),
        Index(
            "ix_registry_households_tagged",
            "grid_code",
            "id",
            postgresql_where=sql("active AND tags <> '{}'"),
        ),
    )

    member_count: Mapped[int | None] = mapped_column(SmallInteger)
    tags: Mapped[list[str]] = mapped_column(_Tags, server_default=sql("'{}'"))
    personal: Mapped[bytes | None] = mapped_column(LargeBinary)


class Person(Recorded, Base):
    """人口: adults. ``personal`` is sealed {name, phone, id_number}."""

    __tablename__ = "registry_persons"
    more = (
        Index(
            "uq_registry_persons_id_number",
            "id_number_index",
            unique=True,
            postgresql_where=sql("id_number_index IS NOT NULL"),
        ),
        Index(None, "phone_index", postgresql_where=sql("phone_index IS NOT NULL")),
        Index(None, "household_id", postgresql_where=sql("household_id IS NOT NULL")),
        Index(
            "ix_registry_persons_tagged",
            "grid_code",
            "id",
            postgresql_where=sql("active AND tags <> '{}'"),
        ),
    )

    household_id: Mapped[UUID | None] = mapped_column(ForeignKey("registry_households.id"))
    relation: Mapped[Relation | None]
    tags: Mapped[list[str]] = mapped_column(_Tags, server_default=sql("'{}'"))
    personal: Mapped[bytes] = mapped_column(LargeBinary)
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary)


class Residence(Base):
    """Who lives, or lived, in a house: a whole household, or a person by themselves."""

    __tablename__ = "registry_residences"
    __table_args__ = (
        CheckConstraint("num_nonnulls(household_id, person_id) = 1", name="one_occupant"),
        CheckConstraint("until >= since", name="since_before_until"),
        Index(None, "house_id"),
        Index(None, "household_id", postgresql_where=sql("household_id IS NOT NULL")),
        Index(None, "person_id", postgresql_where=sql("person_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    house_id: Mapped[UUID] = mapped_column(ForeignKey("registry_houses.id"))
    household_id: Mapped[UUID | None] = mapped_column(ForeignKey("registry_households.id"))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("registry_persons.id"))
    tenure: Mapped[Tenure]
    since: Mapped[date | None]
    until: Mapped[date | None]  # the last day; None: still


class Collection(Base):
    """A record that a phone sent and that was taken: the same again gets the same answer."""

    __tablename__ = "registry_collections"
    __table_args__ = (Index(None, "taken_at"),)

    collector_id: Mapped[UUID] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64, collation="C"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)  # keyed: of what was sent
    outcome: Mapped[str] = mapped_column(String(20))
    record_id: Mapped[UUID]
    version: Mapped[int]
    taken_at: Mapped[datetime]
