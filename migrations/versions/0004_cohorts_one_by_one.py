"""cohorts one by one; ratings and call-backs with what is compared with them

Revises: 0003
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


# The unit of the call's own step, and the rating of the same cycle.
_CALL_BACKS = """
UPDATE request_call_backs AS called
SET unit_code = found.unit_code, written = found.written,
  written_solved = found.written_solved, written_by = found.written_by
FROM (
  SELECT DISTINCT ON (called.id) called.id, step.unit_code, rating.satisfaction AS written,
    rating.solved AS written_solved, rating.resident_id AS written_by
  FROM request_call_backs AS called
  LEFT JOIN request_events AS step ON step.request_id = called.request_id
    AND step.action = 'call_back' AND step.at = called.at
  LEFT JOIN request_ratings AS rating
    ON rating.request_id = called.request_id AND rating.cycle_no = called.cycle_no
  ORDER BY called.id, step.version DESC
) AS found
WHERE found.id = called.id
"""
# As if each had been written at the time it has, with those before it known.
_RATINGS = """
UPDATE request_ratings AS rating
SET unit_code = near.unit_code, of_account = near.of_account, of_unit = near.of_unit
FROM (
  SELECT request_id, cycle_no, unit_code,
    count(*) OVER (PARTITION BY resident_id ORDER BY at
      RANGE BETWEEN interval '86400 s' PRECEDING AND CURRENT ROW) AS of_account,
    CASE WHEN satisfaction < 5 OR unit_code IS NULL THEN 0 ELSE
      count(*) FILTER (WHERE satisfaction = 5) OVER (PARTITION BY unit_code ORDER BY at
        RANGE BETWEEN interval '60 s' PRECEDING AND CURRENT ROW) END AS of_unit
  FROM (
    SELECT rating.request_id, rating.cycle_no, rating.resident_id, rating.satisfaction, rating.at,
      CASE WHEN said.request_id IS NULL THEN requests.unit_code ELSE said.unit_code END AS unit_code
    FROM request_ratings AS rating
    JOIN requests ON requests.id = rating.request_id
    LEFT JOIN (
      SELECT DISTINCT ON (request_id, at) request_id, at, unit_code FROM request_events
      WHERE action = 'rate' ORDER BY request_id, at, version DESC
    ) AS said ON said.request_id = rating.request_id AND said.at = rating.at
  ) AS rated
) AS near
WHERE rating.request_id = near.request_id AND rating.cycle_no = near.cycle_no
"""


def upgrade() -> None:
    op.create_table(
        "statistics_cohorts",
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("holds_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("apart", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("columns", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("first", name=op.f("pk_statistics_cohorts")),
    )
    op.execute("ALTER TABLE statistics_cohorts ALTER COLUMN columns SET STORAGE EXTERNAL")
    op.add_column("request_call_backs", sa.Column("unit_code", sa.String(length=40), nullable=True))
    op.add_column("request_call_backs", sa.Column("written", sa.SmallInteger(), nullable=True))
    op.add_column(
        "request_call_backs",
        sa.Column(
            "written_solved",
            sa.Enum("solved", "partly", "unsolved", name="solved", native_enum=False, length=40),
            nullable=True,
        ),
    )
    op.add_column("request_call_backs", sa.Column("written_by", sa.Uuid(), nullable=True))
    op.execute(_CALL_BACKS)
    op.create_check_constraint(
        op.f("ck_request_call_backs_written_whole"),
        "request_call_backs",
        "num_nulls(written, written_solved, written_by) IN (0, 3)",
    )
    op.create_index(
        "ix_request_call_backs_denied",
        "request_call_backs",
        ["at"],
        unique=False,
        postgresql_include=["request_id", "cycle_no", "unit_code"],
        postgresql_where=sa.text("contacted IS FALSE"),
    )
    op.create_index(
        "ix_request_call_backs_pairs",
        "request_call_backs",
        ["at"],
        unique=False,
        postgresql_include=[
            "request_id",
            "cycle_no",
            "unit_code",
            "written",
            "satisfaction",
            "written_solved",
            "solved",
            "written_by",
        ],
        postgresql_where=sa.text("reached AND satisfaction IS NOT NULL AND written IS NOT NULL"),
    )
    op.drop_index(
        op.f("ix_request_events_watched"),
        table_name="request_events",
        postgresql_where=sa.text("action IN ('withdraw', 'correct')"),
    )
    op.create_index(
        "ix_request_events_watched",
        "request_events",
        ["action", "at"],
        unique=False,
        postgresql_where=sa.text("action IN ('withdraw', 'correct')"),
    )
    op.add_column("request_ratings", sa.Column("unit_code", sa.String(length=40), nullable=True))
    op.add_column("request_ratings", sa.Column("of_account", sa.Integer(), nullable=True))
    op.add_column("request_ratings", sa.Column("of_unit", sa.Integer(), nullable=True))
    op.execute(_RATINGS)
    op.alter_column("request_ratings", "of_account", nullable=False)
    op.alter_column("request_ratings", "of_unit", nullable=False)
    op.drop_index(
        op.f("ix_request_ratings_at"),
        table_name="request_ratings",
        postgresql_include=["request_id", "cycle_no", "resident_id", "satisfaction"],
    )
    op.create_index(
        "ix_request_ratings_account", "request_ratings", ["resident_id", "at"], unique=False
    )
    op.create_index(
        "ix_request_ratings_by_account",
        "request_ratings",
        ["at", "resident_id", "of_account"],
        unique=False,
        postgresql_where=sa.text("of_account >= 3"),
    )
    op.create_index(
        "ix_request_ratings_denied",
        "request_ratings",
        ["at"],
        unique=False,
        postgresql_include=["request_id", "cycle_no", "unit_code"],
        postgresql_where=sa.text("NOT contacted"),
    )
    op.create_index(
        "ix_request_ratings_of_unit",
        "request_ratings",
        ["at", "unit_code", "of_unit"],
        unique=False,
        postgresql_where=sa.text("of_unit >= 3"),
    )
    op.create_index("ix_request_ratings_unit", "request_ratings", ["unit_code", "at"], unique=False)
    op.drop_index(
        op.f("ix_request_replies_soon"),
        table_name="request_replies",
        postgresql_where=sa.text("took <= interval '3600 s'"),
    )
    op.create_index(
        "ix_request_replies_soon",
        "request_replies",
        ["sent_at", "took"],
        unique=False,
        postgresql_where=sa.text("took <= interval '3600 s'"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_request_replies_soon",
        table_name="request_replies",
        postgresql_where=sa.text("took <= interval '3600 s'"),
    )
    op.create_index(
        op.f("ix_request_replies_soon"),
        "request_replies",
        ["sent_at"],
        unique=False,
        postgresql_where=sa.text("took <= interval '3600 s'"),
    )
    op.drop_index("ix_request_ratings_unit", table_name="request_ratings")
    op.drop_index(
        "ix_request_ratings_of_unit",
        table_name="request_ratings",
        postgresql_where=sa.text("of_unit >= 3"),
    )
    op.drop_index(
        "ix_request_ratings_denied",
        table_name="request_ratings",
        postgresql_include=["request_id", "cycle_no", "unit_code"],
        postgresql_where=sa.text("NOT contacted"),
    )
    op.drop_index(
        "ix_request_ratings_by_account",
        table_name="request_ratings",
        postgresql_where=sa.text("of_account >= 3"),
    )
    op.drop_index("ix_request_ratings_account", table_name="request_ratings")
    op.create_index(
        op.f("ix_request_ratings_at"),
        "request_ratings",
        ["at"],
        unique=False,
        postgresql_include=["request_id", "cycle_no", "resident_id", "satisfaction"],
    )
    op.drop_column("request_ratings", "of_unit")
    op.drop_column("request_ratings", "of_account")
    op.drop_column("request_ratings", "unit_code")
    op.drop_index(
        "ix_request_events_watched",
        table_name="request_events",
        postgresql_where=sa.text("action IN ('withdraw', 'correct')"),
    )
    op.create_index(
        op.f("ix_request_events_watched"),
        "request_events",
        ["at"],
        unique=False,
        postgresql_where=sa.text("action IN ('withdraw', 'correct')"),
    )
    op.drop_index(
        "ix_request_call_backs_pairs",
        table_name="request_call_backs",
        postgresql_include=[
            "request_id",
            "cycle_no",
            "unit_code",
            "written",
            "satisfaction",
            "written_solved",
            "solved",
            "written_by",
        ],
        postgresql_where=sa.text("reached AND satisfaction IS NOT NULL AND written IS NOT NULL"),
    )
    op.drop_index(
        "ix_request_call_backs_denied",
        table_name="request_call_backs",
        postgresql_include=["request_id", "cycle_no", "unit_code"],
        postgresql_where=sa.text("contacted IS FALSE"),
    )
    op.drop_column("request_call_backs", "written_by")
    op.drop_column("request_call_backs", "written_solved")
    op.drop_column("request_call_backs", "written")
    op.drop_column("request_call_backs", "unit_code")
    op.drop_table("statistics_cohorts")
