"""vectors of sums; exclusions that count, and can be revoked

Revises: 0002
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


# What was approved before is left out from now on.
_EXCLUDE = """
UPDATE requests SET excluded = said.cycles FROM (
  SELECT request_id, jsonb_object_agg(cycle_no::text, measures) AS cycles FROM (
    SELECT request_id, cycle_no, jsonb_agg(DISTINCT measure ORDER BY measure) AS measures
    FROM measure_exclusions AS one CROSS JOIN jsonb_array_elements_text(one.measures) AS measure
    WHERE state = 'approved' GROUP BY 1, 2
  ) AS cycle GROUP BY 1
) AS said WHERE requests.id = said.request_id
"""
# Since the unit that sent it had got the request.
_TIME = """
UPDATE request_replies AS reply SET took = reply.sent_at - CASE
  WHEN reply.cycle_no = requests.cycle_no THEN requests.assigned_at ELSE (
    SELECT event.at FROM request_events AS event
    WHERE event.request_id = reply.request_id AND event.at <= reply.sent_at
      AND event.state = 'assigned'
      AND event.action IN ('assign', 'decide_return', 'transfer', 'decide_reopen')
    ORDER BY event.version DESC LIMIT 1) END
FROM requests WHERE requests.id = reply.request_id AND reply.sent_at IS NOT NULL
"""
_CHECKS = {
    "revoked_whole": "(state = 'revoked') = (revoked_by IS NOT NULL)"
    " AND (state = 'revoked') = (revoked_at IS NOT NULL)"
    " AND (state = 'revoked') = (revocation_note IS NOT NULL)",
    "revoked_by_another": "revoked_by IS DISTINCT FROM decided_by"
    " AND revoked_by IS DISTINCT FROM asked_by OR revoked_by IS NULL",
}


def upgrade() -> None:
    op.create_table(
        "statistics_keys",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.String(length=12, collation="C"), nullable=False),
        sa.Column("key", sa.String(length=60, collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_statistics_keys")),
        sa.UniqueConstraint("code", "key", name=op.f("uq_statistics_keys_code_key")),
    )
    op.create_table(
        "statistics_spans",
        sa.Column("span", sa.String(length=5, collation="C"), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("past", sa.Date(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("live", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.CheckConstraint("first < past", name=op.f("ck_statistics_spans_some_time")),
        sa.PrimaryKeyConstraint("span", "first", name=op.f("pk_statistics_spans")),
    )
    op.create_table(
        "statistics_sums",
        sa.Column("facet", sa.String(length=24, collation="C"), nullable=False),
        sa.Column("instant", sa.String(length=40, collation="C"), nullable=False),
        sa.Column("span", sa.String(length=5, collation="C"), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("low", sa.Date(), nullable=False),
        sa.Column("high", sa.Date(), nullable=False),
        sa.Column("cells", sa.Integer(), nullable=False),
        sa.Column("buckets", sa.LargeBinary(), nullable=True),
        sa.Column("codes", sa.LargeBinary(), nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.Column("people", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "facet", "instant", "span", "first", name=op.f("pk_statistics_sums")
        ),
    )
    op.drop_table("statistics_days")
    op.drop_index(op.f("ix_statistics_rollups_cohort"), table_name="statistics_rollups")
    op.drop_table("statistics_rollups")
    op.add_column("measure_exclusions", sa.Column("revoked_by", sa.Uuid(), nullable=True))
    op.add_column(
        "measure_exclusions", sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("measure_exclusions", sa.Column("revocation_note", sa.Text(), nullable=True))
    op.add_column("request_replies", sa.Column("took", sa.Interval(), nullable=True))
    op.drop_index(
        op.f("ix_request_replies_sent"),
        table_name="request_replies",
        postgresql_where="(sent_at IS NOT NULL)",
    )
    op.create_index(
        "ix_request_replies_soon",
        "request_replies",
        ["sent_at"],
        unique=False,
        postgresql_where=sa.text("took <= interval '3600 s'"),
    )
    op.add_column(
        "requests", sa.Column("excluded", postgresql.JSONB(astext_type=sa.Text()), nullable=True)
    )

    op.execute(_EXCLUDE)
    op.execute(_TIME)
    for name, condition in _CHECKS.items():
        op.create_check_constraint(
            op.f(f"ck_measure_exclusions_{name}"), "measure_exclusions", condition
        )
    for column in ("buckets", "codes", "counts", "people"):
        op.execute(f"ALTER TABLE statistics_sums ALTER COLUMN {column} SET STORAGE EXTERNAL")
    op.drop_index("ix_request_ratings_at", table_name="request_ratings")
    op.create_index(
        "ix_request_ratings_at",
        "request_ratings",
        ["at"],
        postgresql_include=["request_id", "cycle_no", "resident_id", "satisfaction"],
    )


def downgrade() -> None:
    op.drop_index("ix_request_ratings_at", table_name="request_ratings")
    op.create_index("ix_request_ratings_at", "request_ratings", ["at"])
    for name in _CHECKS:
        op.drop_constraint(op.f(f"ck_measure_exclusions_{name}"), "measure_exclusions")
    op.drop_column("requests", "excluded")
    op.drop_index(
        "ix_request_replies_soon",
        table_name="request_replies",
        postgresql_where=sa.text("took <= interval '3600 s'"),
    )
    op.create_index(
        op.f("ix_request_replies_sent"),
        "request_replies",
        ["sent_at"],
        unique=False,
        postgresql_where="(sent_at IS NOT NULL)",
    )
    op.drop_column("request_replies", "took")
    op.drop_column("measure_exclusions", "revocation_note")
    op.drop_column("measure_exclusions", "revoked_at")
    op.drop_column("measure_exclusions", "revoked_by")
    op.create_table(
        "statistics_rollups",
        sa.Column(
            "facet", sa.VARCHAR(length=12, collation="C"), autoincrement=False, nullable=False
        ),
        sa.Column(
            "instant", sa.VARCHAR(length=40, collation="C"), autoincrement=False, nullable=False
        ),
        sa.Column("day", sa.DATE(), autoincrement=False, nullable=False),
        sa.Column("key", sa.VARCHAR(length=60, collation="C"), autoincrement=False, nullable=False),
        sa.Column("cohort", sa.DATE(), autoincrement=False, nullable=False),
        sa.Column("counts", postgresql.ARRAY(sa.INTEGER()), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "facet", "instant", "day", "key", "cohort", name=op.f("pk_statistics_rollups")
        ),
    )
    op.create_index(
        op.f("ix_statistics_rollups_cohort"), "statistics_rollups", ["cohort"], unique=False
    )
    op.create_table(
        "statistics_days",
        sa.Column("cohort", sa.DATE(), autoincrement=False, nullable=False),
        sa.Column(
            "computed_at", postgresql.TIMESTAMP(timezone=True), autoincrement=False, nullable=False
        ),
        sa.Column("ready", sa.BOOLEAN(), autoincrement=False, nullable=False),
        sa.Column("live", postgresql.ARRAY(sa.UUID()), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("cohort", name=op.f("pk_statistics_days")),
    )
    op.drop_table("statistics_sums")
    op.drop_table("statistics_spans")
    op.drop_table("statistics_keys")
