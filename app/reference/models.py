"""Slow tables the city edits: categories, units, policies, calendars, routing rules."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Identity, Index, Text
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.matters import Kind
from app.domain.sla import ContactMode, ReplyMode
from app.reference.kinds import RuleSetState, UnitKind
from app.store.base import Base


class UnitRow(Base):
    """Who can be responsible: a city department, a town, a utility."""

    __tablename__ = "units"

    code: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[UnitKind]
    # A town's own unit names the town's grid; nobody else has one.
    grid_code: Mapped[str | None] = mapped_column(Text, unique=True)
    active: Mapped[bool] = mapped_column(default=True)
    sort: Mapped[int] = mapped_column(default=0)


class CategoryRow(Base):
    """What a request is about: a two-level tree, the leaves with their default unit."""

    __tablename__ = "categories"

    code: Mapped[str] = mapped_column(Text, primary_key=True)
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("categories.code"))
    name: Mapped[str] = mapped_column(Text)
    gb_code: Mapped[str | None] = mapped_column(Text)
    default_unit_code: Mapped[str | None] = mapped_column(ForeignKey("units.code"))
    policy_code: Mapped[str | None] = mapped_column(Text)
    # 网格自办事项: what the grid may settle by itself.
    grid_matter: Mapped[bool] = mapped_column(default=False, server_default="false")
    active: Mapped[bool] = mapped_column(default=True)
    sort: Mapped[int] = mapped_column(default=0)


class PolicyRow(Base):
    """One version of a promise. Versions are added, never changed."""

    __tablename__ = "sla_policies"

    code: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    contact_minutes: Mapped[int]
    contact_mode: Mapped[ContactMode]
    reply_days: Mapped[int]
    reply_mode: Mapped[ReplyMode]
    accept_office_minutes: Mapped[int]
    return_days: Mapped[int]
    review_days: Mapped[int]
    rate_days: Mapped[int]
    reopen_days: Mapped[int]
    reopen_window_days: Mapped[int]
    extension_days: Mapped[int]
    info_days: Mapped[int]
    internal_days: Mapped[int] = mapped_column(server_default="2")
    review_required: Mapped[bool]
    valid_from: Mapped[datetime]
    active: Mapped[bool] = mapped_column(default=True)


class CalendarRow(Base):
    """One published version of the whole working calendar."""

    __tablename__ = "calendars"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    published_at: Mapped[datetime]
    coverage_from: Mapped[date]
    coverage_to: Mapped[date]
    # Monday … Sunday: [[["08:30", "12:00"], ["13:30", "17:30"]], …]
    frames: Mapped[list[Any]] = mapped_column(JSONB)
    sources: Mapped[list[str]]
    published_by: Mapped[UUID | None]  # None: by the city's own machine, ``lianxin import``
    draft_hash: Mapped[str | None] = mapped_column(Text)  # of what was previewed


class CalendarDayRow(Base):
    """A day on which a version departs from its weekly frames, as one year's notice says.

    A notice may speak of December days before its year; where two notices speak of the same day,
    the one of the later year holds. What the city says of its own days stands under the year 9999.
    """

    __tablename__ = "calendar_days"
    __table_args__ = (ForeignKeyConstraint(["version"], ["calendars.version"]),)

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    notice_year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)
    working: Mapped[bool]
    name: Mapped[str] = mapped_column(Text)
    # Office hours of a make-up day that has its own: [["09:00", "12:00"], …].
    frames: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))


class RuleSetRow(Base):
    """One version of all routing rules: a draft, the active one, or one of before."""

    __tablename__ = "routing_rule_sets"
    __table_args__ = (
        Index(
            "uq_routing_rule_sets_active",
            "state",
            unique=True,
            postgresql_where=sql("state = 'active'"),
        ),
    )

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[RuleSetState]
    revision: Mapped[int] = mapped_column(server_default="1")  # what If-Match compares
    base_version: Mapped[int | None]
    note: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]  # None: by the city's own machine
    changed_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    activated_by: Mapped[UUID | None]


class RoutingRuleRow(Base):
    """Requests of this category, in this grid subtree, go to this unit. See ``domain.routing``."""

    __tablename__ = "routing_rules"
    __table_args__ = (Index("ix_routing_rules_set", "set_version", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    set_version: Mapped[int] = mapped_column(
        ForeignKey("routing_rule_sets.version"), server_default="1"
    )
    category_code: Mapped[str | None] = mapped_column(ForeignKey("categories.code"))
    grid_code: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[Kind | None]
    # {"weekdays": [1, …], "opens": "08:30", "closes", "valid_from": "2026-01-01", "valid_to"}
    time_window: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    unit_code: Mapped[str] = mapped_column(ForeignKey("units.code"))
    co_unit_codes: Mapped[list[str]] = mapped_column(server_default=sql("'[]'"))
    policy_code: Mapped[str | None] = mapped_column(Text)
    grid_first_minutes: Mapped[int] = mapped_column(server_default="0")
    priority: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)
    note: Mapped[str] = mapped_column(Text, default="")
