"""the whole territory

Revises: 0001
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_APPEND_ONLY = """
CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = TG_TABLE_NAME || ' is append-only';
END
$$
"""
# The rules there are become the first version, before they lean on it.
_FIRST_RULE_SET = """
INSERT INTO routing_rule_sets
  (version, state, revision, note, created_at, changed_at, activated_at)
SELECT 1, 'active', 1, '初始规则', now(), now(), now()
WHERE EXISTS (SELECT FROM routing_rules)
"""


def upgrade() -> None:
    op.create_table(
        "call_back_campaigns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("replied_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replied_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sample_size", sa.Integer(), nullable=False),
        sa.Column("minimum", sa.Integer(), nullable=False),
        sa.Column("seed", sa.String(length=32), nullable=False),
        sa.Column("frame_size", sa.Integer(), nullable=False),
        sa.Column("frame_digest", sa.String(length=64), nullable=False),
        sa.Column("drawn", sa.Integer(), nullable=False),
        sa.Column("drawn_by", sa.Uuid(), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "drawn <= frame_size AND frame_size > 0",
            name=op.f("ck_call_back_campaigns_out_of_the_frame"),
        ),
        sa.CheckConstraint(
            "replied_from < replied_to", name=op.f("ck_call_back_campaigns_some_time")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_back_campaigns")),
    )
    op.create_table(
        "figure_snapshots",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.SmallInteger(), nullable=False),
        sa.Column("revises", sa.Uuid(), nullable=True),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("definition_version", sa.String(length=20), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("published_by", sa.Uuid(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(revision = 1) = (revises IS NULL) AND (revision = 1) = (reason IS NULL)",
            name=op.f("ck_figure_snapshots_corrections_say_why"),
        ),
        sa.CheckConstraint(
            "revision >= 1 AND octet_length(hash) = 32",
            name=op.f("ck_figure_snapshots_well_formed"),
        ),
        sa.CheckConstraint("since < until", name=op.f("ck_figure_snapshots_some_time")),
        sa.ForeignKeyConstraint(
            ["revises"],
            ["figure_snapshots.id"],
            name=op.f("fk_figure_snapshots_revises_figure_snapshots"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_figure_snapshots")),
        sa.UniqueConstraint(
            "since", "until", "revision", name=op.f("uq_figure_snapshots_since_until_revision")
        ),
    )
    op.create_index(
        "ix_figure_snapshots_published",
        "figure_snapshots",
        [sa.literal_column("published_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "grid_counties",
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("boundary", sa.LargeBinary(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("code ~ '^[0-9]{6}$'", name=op.f("ck_grid_counties_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_grid_counties")),
    )
    op.create_table(
        "grid_imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "prepared",
                "applied",
                "rolled_back",
                name="importstate",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "level",
            sa.Enum(
                "town", "community", "grid", "micro", name="gridlevel", native_enum=False, length=40
            ),
            nullable=False,
        ),
        sa.Column(
            "coord_sys",
            sa.Enum(
                "wgs84", "gcj02", "bd09", "cgcs2000", name="coordsys", native_enum=False, length=40
            ),
            nullable=False,
        ),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("summary", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("applied_by", sa.Uuid(), nullable=True),
        sa.Column("rolled_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rolled_back_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grid_imports")),
    )
    op.create_index(
        op.f("ix_grid_imports_created_at"), "grid_imports", ["created_at"], unique=False
    )
    op.create_table(
        "grid_level_names",
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "level",
            sa.Enum(
                "town", "community", "grid", "micro", name="gridlevel", native_enum=False, length=40
            ),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "level", name=op.f("pk_grid_level_names")),
    )
    op.create_table(
        "grid_load_rules",
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "level",
            sa.Enum(
                "town", "community", "grid", "micro", name="gridlevel", native_enum=False, length=40
            ),
            nullable=False,
        ),
        sa.Column("least", sa.Integer(), nullable=True),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "least IS NOT NULL OR most IS NOT NULL", name=op.f("ck_grid_load_rules_says_some")
        ),
        sa.PrimaryKeyConstraint("scope", "level", name=op.f("pk_grid_load_rules")),
    )
    op.create_table(
        "grid_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("boundary", sa.LargeBinary(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grid_versions")),
    )
    op.create_index(
        op.f("ix_grid_versions_code_valid_from"),
        "grid_versions",
        ["code", "valid_from"],
        unique=False,
    )
    op.create_table(
        "legacy_units",
        sa.Column(
            "kind",
            sa.Enum(
                "party",
                "justice",
                "safety",
                "habitat",
                "village",
                name="legacykind",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "code", name=op.f("pk_legacy_units")),
    )
    op.create_table(
        "registry_collections",
        sa.Column("collector_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.String(length=64, collation="C"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("collector_id", "client_id", name=op.f("pk_registry_collections")),
    )
    op.create_index(
        op.f("ix_registry_collections_taken_at"), "registry_collections", ["taken_at"], unique=False
    )
    op.create_table(
        "registry_households",
        sa.Column("member_count", sa.SmallInteger(), nullable=True),
        sa.Column(
            "tags",
            postgresql.ARRAY(sa.String(length=40)),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("personal", sa.LargeBinary(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=40, collation="C"), nullable=True),
        sa.Column("grid_code", sa.String(length=17, collation="C"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "source",
            sa.Enum("collected", "imported", "demo", name="source", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("collector_id", sa.Uuid(), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "member_count BETWEEN 1 AND 99", name=op.f("ck_registry_households_member_count")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_households")),
    )
    op.create_index(
        "ix_registry_households_grid",
        "registry_households",
        ["grid_code", "id"],
        unique=False,
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.create_index(
        "ix_registry_households_tagged",
        "registry_households",
        ["grid_code", "id"],
        unique=False,
        postgresql_where=sa.text("active AND tags <> '{}'"),
    )
    op.create_index(
        "uq_registry_households_code",
        "registry_households",
        ["code"],
        unique=True,
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.create_table(
        "registry_plots",
        sa.Column(
            "use",
            sa.Enum(
                "homestead",
                "farmland",
                "forest",
                "construction",
                "other",
                name="plotuse",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("area_m2", sa.Integer(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=40, collation="C"), nullable=True),
        sa.Column("grid_code", sa.String(length=17, collation="C"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "source",
            sa.Enum("collected", "imported", "demo", name="source", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("collector_id", sa.Uuid(), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("location", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("area_m2 > 0", name=op.f("ck_registry_plots_area")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_plots")),
    )
    op.create_index(
        "ix_registry_plots_grid",
        "registry_plots",
        ["grid_code", "id"],
        unique=False,
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.create_index(
        "uq_registry_plots_code",
        "registry_plots",
        ["code"],
        unique=True,
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.create_table(
        "routing_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("origin_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("town", sa.Text(), nullable=False),
        sa.Column("community", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("main_type", sa.Text(), nullable=False),
        sa.Column("sub_type", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("unit_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_history")),
    )
    op.create_index("ix_routing_history_main_type", "routing_history", ["main_type"], unique=False)
    op.create_index("ix_routing_history_sub_type", "routing_history", ["sub_type"], unique=False)
    op.create_index("ix_routing_history_type", "routing_history", ["type"], unique=False)
    op.create_index(
        "uq_routing_history_origin", "routing_history", ["origin", "origin_id"], unique=True
    )
    op.create_table(
        "routing_models",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trained_by", sa.Uuid(), nullable=True),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("units", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_routing_models")),
    )
    op.create_table(
        "routing_rule_sets",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "active",
                "retired",
                "discarded",
                name="rulesetstate",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("base_version", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("activated_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_routing_rule_sets")),
    )
    op.create_index(
        "uq_routing_rule_sets_active",
        "routing_rule_sets",
        ["state"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "statistics_days",
        sa.Column("cohort", sa.Date(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("live", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.PrimaryKeyConstraint("cohort", name=op.f("pk_statistics_days")),
    )
    op.create_table(
        "statistics_exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "done",
                "failed",
                "cancelled",
                "expired",
                name="exportstate",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "format",
            sa.Enum("xlsx", "csv", "json", name="exportformat", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("query", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column(
            "asked_role",
            sa.Enum(
                "resident",
                "micro_grid_leader",
                "grid_leader",
                "handler",
                "unit_leader",
                "dispatcher",
                "supervisor",
                "auditor",
                "admin",
                "system",
                name="role",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_rows", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total_rows", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)",
            name=op.f("ck_statistics_exports_running_is_leased"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('done', 'expired') OR expires_at IS NOT NULL AND sha256 IS NOT NULL AND digest IS NOT NULL AND size_bytes IS NOT NULL",
            name=op.f("ck_statistics_exports_done_whole"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statistics_exports")),
    )
    op.create_index(
        "ix_statistics_exports_kept",
        "statistics_exports",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'done'"),
    )
    op.create_index(
        "ix_statistics_exports_of",
        "statistics_exports",
        ["asked_by", sa.literal_column("asked_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_statistics_exports_open",
        "statistics_exports",
        ["asked_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "statistics_rollups",
        sa.Column("facet", sa.String(length=12, collation="C"), nullable=False),
        sa.Column("instant", sa.String(length=40, collation="C"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("key", sa.String(length=60, collation="C"), nullable=False),
        sa.Column("cohort", sa.Date(), nullable=False),
        sa.Column("counts", sa.ARRAY(sa.Integer()), nullable=False),
        sa.PrimaryKeyConstraint(
            "facet", "instant", "day", "key", "cohort", name=op.f("pk_statistics_rollups")
        ),
    )
    op.create_index("ix_statistics_rollups_cohort", "statistics_rollups", ["cohort"], unique=False)
    op.create_table(
        "statistics_state",
        sa.Column("one", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("definitions", sa.String(length=64), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("one = 1", name=op.f("ck_statistics_state_one_row")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_statistics_state")),
    )
    op.create_table(
        "team_rules",
        sa.Column(
            "name",
            sa.Enum(
                "template.grid",
                "template.micro",
                "duties",
                name="rulename",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_team_rules")),
    )
    op.create_table(
        "teams",
        sa.Column("grid_code", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("party_group_name", sa.Text(), nullable=True),
        sa.Column("party_secretary_id", sa.Uuid(), nullable=True),
        sa.Column("party_since", sa.Date(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(party_group_name, party_secretary_id, party_since) IN (0, 3)",
            name=op.f("ck_teams_party_group_whole"),
        ),
        sa.PrimaryKeyConstraint("grid_code", name=op.f("pk_teams")),
    )
    op.create_table(
        "call_back_strata",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("unit_code", sa.String(length=40, collation="C"), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("drawn", sa.Integer(), nullable=False),
        sa.Column("members", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["call_back_campaigns.id"],
            name=op.f("fk_call_back_strata_campaign_id_call_back_campaigns"),
        ),
        sa.PrimaryKeyConstraint("campaign_id", "unit_code", name=op.f("pk_call_back_strata")),
    )
    op.create_table(
        "grid_import_places",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "change",
            sa.Enum(
                "added", "changed", "removed", name="placechange", native_enum=False, length=40
            ),
            nullable=False,
        ),
        sa.Column("before_name", sa.Text(), nullable=True),
        sa.Column("before_boundary", sa.LargeBinary(), nullable=True),
        sa.Column("before_active", sa.Boolean(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("boundary", sa.LargeBinary(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("area_before_m2", sa.Double(), nullable=True),
        sa.Column("area_after_m2", sa.Double(), nullable=True),
        sa.Column("moved_m2", sa.Double(), nullable=True),
        sa.Column("predecessors", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"],
            ["grid_imports.id"],
            name=op.f("fk_grid_import_places_import_id_grid_imports"),
        ),
        sa.PrimaryKeyConstraint("import_id", "code", name=op.f("pk_grid_import_places")),
    )
    op.create_table(
        "grid_lineage",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("old_code", sa.Text(collation="C"), nullable=False),
        sa.Column("new_code", sa.Text(collation="C"), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["grid_imports.id"], name=op.f("fk_grid_lineage_import_id_grid_imports")
        ),
        sa.PrimaryKeyConstraint("import_id", "old_code", "new_code", name=op.f("pk_grid_lineage")),
    )
    op.create_table(
        "legacy_unit_grids",
        sa.Column(
            "kind",
            sa.Enum(
                "party",
                "justice",
                "safety",
                "habitat",
                "village",
                name="legacykind",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("unit_code", sa.Text(collation="C"), nullable=False),
        sa.Column("grid_code", sa.Text(collation="C"), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "valid_to IS NULL OR valid_to > valid_from",
            name=op.f("ck_legacy_unit_grids_ends_after_begin"),
        ),
        sa.ForeignKeyConstraint(
            ["grid_code"], ["grids.code"], name=op.f("fk_legacy_unit_grids_grid_code_grids")
        ),
        sa.ForeignKeyConstraint(
            ["kind", "unit_code"],
            ["legacy_units.kind", "legacy_units.code"],
            name=op.f("fk_legacy_unit_grids_kind_unit_code_legacy_units"),
        ),
        sa.PrimaryKeyConstraint(
            "kind", "unit_code", "grid_code", "valid_from", name=op.f("pk_legacy_unit_grids")
        ),
    )
    op.create_index(
        op.f("ix_legacy_unit_grids_grid_code"), "legacy_unit_grids", ["grid_code"], unique=False
    )
    op.create_table(
        "measure_exclusions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("cycle_no", sa.SmallInteger(), nullable=False),
        sa.Column("unit_code", sa.String(length=40), nullable=False),
        sa.Column("measures", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "asked",
                "approved",
                "denied",
                "withdrawn",
                name="exclusionstate",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "ground",
            sa.Enum(
                "malicious",
                "mistaken_rating",
                "not_about_handling",
                "beyond_powers",
                "not_ours",
                "force_majeure",
                "system_fault",
                name="exclusionground",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(decided_at IS NULL) = (state = 'asked')",
            name=op.f("ck_measure_exclusions_decided_whole"),
        ),
        sa.CheckConstraint(
            "decided_by IS DISTINCT FROM asked_by", name=op.f("ck_measure_exclusions_four_eyes")
        ),
        sa.CheckConstraint(
            "jsonb_array_length(measures) > 0", name=op.f("ck_measure_exclusions_of_something")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["requests.id"], name=op.f("fk_measure_exclusions_request_id_requests")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measure_exclusions")),
    )
    op.create_index(
        "ix_measure_exclusions_asked",
        "measure_exclusions",
        [sa.literal_column("asked_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_measure_exclusions_in_force",
        "measure_exclusions",
        ["request_id", "cycle_no"],
        unique=False,
        postgresql_where=sa.text("state = 'approved'"),
    )
    op.create_index(
        op.f("ix_measure_exclusions_request_id"), "measure_exclusions", ["request_id"], unique=False
    )
    op.create_index(
        "ix_measure_exclusions_unit",
        "measure_exclusions",
        ["unit_code", sa.literal_column("asked_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "uq_measure_exclusions_pending",
        "measure_exclusions",
        ["request_id", "cycle_no"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_table(
        "plaques",
        sa.Column("id", sa.String(length=10, collation="C"), nullable=False),
        sa.Column("grid_code", sa.Text(collation="C"), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.Uuid(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Uuid(), nullable=True),
        sa.Column(
            "ended_by",
            sa.Enum("replaced", "revoked", name="plaqueend", native_enum=False, length=40),
            nullable=True,
        ),
        sa.ForeignKeyConstraint(
            ["grid_code"], ["teams.grid_code"], name=op.f("fk_plaques_grid_code_teams")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plaques")),
    )
    op.create_index(
        "uq_plaques_in_force",
        "plaques",
        ["grid_code"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "registry_buildings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("floors", sa.SmallInteger(), nullable=True),
        sa.Column("plot_id", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=40, collation="C"), nullable=True),
        sa.Column("grid_code", sa.String(length=17, collation="C"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "source",
            sa.Enum("collected", "imported", "demo", name="source", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("collector_id", sa.Uuid(), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("location", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["plot_id"],
            ["registry_plots.id"],
            name=op.f("fk_registry_buildings_plot_id_registry_plots"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_buildings")),
    )
    op.create_index(
        "ix_registry_buildings_grid",
        "registry_buildings",
        ["grid_code", "id"],
        unique=False,
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.create_index(
        op.f("ix_registry_buildings_plot_id"),
        "registry_buildings",
        ["plot_id"],
        unique=False,
        postgresql_where=sa.text("plot_id IS NOT NULL"),
    )
    op.create_index(
        "uq_registry_buildings_code",
        "registry_buildings",
        ["code"],
        unique=True,
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.create_table(
        "registry_persons",
        sa.Column("household_id", sa.Uuid(), nullable=True),
        sa.Column(
            "relation",
            sa.Enum(
                "head",
                "spouse",
                "child",
                "grandchild",
                "parent",
                "grandparent",
                "sibling",
                "other",
                name="relation",
                native_enum=False,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column(
            "tags",
            postgresql.ARRAY(sa.String(length=40)),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("personal", sa.LargeBinary(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=True),
        sa.Column("id_number_index", sa.LargeBinary(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=40, collation="C"), nullable=True),
        sa.Column("grid_code", sa.String(length=17, collation="C"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "source",
            sa.Enum("collected", "imported", "demo", name="source", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("collector_id", sa.Uuid(), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["household_id"],
            ["registry_households.id"],
            name=op.f("fk_registry_persons_household_id_registry_households"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_persons")),
    )
    op.create_index(
        "ix_registry_persons_grid",
        "registry_persons",
        ["grid_code", "id"],
        unique=False,
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.create_index(
        op.f("ix_registry_persons_household_id"),
        "registry_persons",
        ["household_id"],
        unique=False,
        postgresql_where=sa.text("household_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_registry_persons_phone_index"),
        "registry_persons",
        ["phone_index"],
        unique=False,
        postgresql_where=sa.text("phone_index IS NOT NULL"),
    )
    op.create_index(
        "ix_registry_persons_tagged",
        "registry_persons",
        ["grid_code", "id"],
        unique=False,
        postgresql_where=sa.text("active AND tags <> '{}'"),
    )
    op.create_index(
        "uq_registry_persons_code",
        "registry_persons",
        ["code"],
        unique=True,
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.create_index(
        "uq_registry_persons_id_number",
        "registry_persons",
        ["id_number_index"],
        unique=True,
        postgresql_where=sa.text("id_number_index IS NOT NULL"),
    )
    op.create_table(
        "team_members",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("grid_code", sa.Text(collation="C"), nullable=False),
        sa.Column("seat", sa.String(length=40), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("leads", sa.Boolean(), nullable=False),
        sa.Column("single", sa.Boolean(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("personal", sa.LargeBinary(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=True),
        sa.Column(
            "duties",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("published", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("until >= since", name=op.f("ck_team_members_ends_after_begin")),
        sa.ForeignKeyConstraint(
            ["grid_code"], ["teams.grid_code"], name=op.f("fk_team_members_grid_code_teams")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team_members")),
    )
    op.create_index(
        op.f("ix_team_members_grid_code_since"),
        "team_members",
        ["grid_code", "since"],
        unique=False,
    )
    op.create_index(
        op.f("ix_team_members_phone_index"),
        "team_members",
        ["phone_index"],
        unique=False,
        postgresql_where=sa.text("phone_index IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_team_members_staff_id"),
        "team_members",
        ["staff_id"],
        unique=False,
        postgresql_where=sa.text("staff_id IS NOT NULL"),
    )
    op.create_index(
        "uq_team_members_open_single",
        "team_members",
        ["grid_code", "seat"],
        unique=True,
        postgresql_where=sa.text("single AND until IS NULL"),
    )
    op.create_table(
        "call_back_draws",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("cycle_no", sa.SmallInteger(), nullable=False),
        sa.Column("unit_code", sa.String(length=40, collation="C"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id", "unit_code"],
            ["call_back_strata.campaign_id", "call_back_strata.unit_code"],
            name=op.f("fk_call_back_draws_campaign_id_unit_code_call_back_strata"),
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["requests.id"], name=op.f("fk_call_back_draws_request_id_requests")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "request_id", name=op.f("pk_call_back_draws")),
    )
    op.create_index(
        op.f("ix_call_back_draws_request_id"), "call_back_draws", ["request_id"], unique=False
    )
    op.create_table(
        "registry_houses",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column(
            "use",
            sa.Enum(
                "self_occupied",
                "rented",
                "vacant",
                "business",
                "other",
                name="houseuse",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("building_id", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=40, collation="C"), nullable=True),
        sa.Column("grid_code", sa.String(length=17, collation="C"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "source",
            sa.Enum("collected", "imported", "demo", name="source", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("collector_id", sa.Uuid(), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_by", sa.Uuid(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("location", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["building_id"],
            ["registry_buildings.id"],
            name=op.f("fk_registry_houses_building_id_registry_buildings"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_houses")),
    )
    op.create_index(
        op.f("ix_registry_houses_building_id"),
        "registry_houses",
        ["building_id"],
        unique=False,
        postgresql_where=sa.text("building_id IS NOT NULL"),
    )
    op.create_index(
        "ix_registry_houses_grid",
        "registry_houses",
        ["grid_code", "id"],
        unique=False,
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.create_index(
        "uq_registry_houses_code",
        "registry_houses",
        ["code"],
        unique=True,
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.create_table(
        "team_handovers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("grid_code", sa.Text(collation="C"), nullable=False),
        sa.Column("from_member_id", sa.Uuid(), nullable=False),
        sa.Column("to_member_id", sa.Uuid(), nullable=False),
        sa.Column("request_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("states", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Uuid(), nullable=True),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["from_member_id"],
            ["team_members.id"],
            name=op.f("fk_team_handovers_from_member_id_team_members"),
        ),
        sa.ForeignKeyConstraint(
            ["grid_code"], ["teams.grid_code"], name=op.f("fk_team_handovers_grid_code_teams")
        ),
        sa.ForeignKeyConstraint(
            ["to_member_id"],
            ["team_members.id"],
            name=op.f("fk_team_handovers_to_member_id_team_members"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team_handovers")),
    )
    op.create_index(
        op.f("ix_team_handovers_grid_code_created_at"),
        "team_handovers",
        ["grid_code", "created_at"],
        unique=False,
    )
    op.create_index(
        "uq_team_handovers_pending",
        "team_handovers",
        ["grid_code"],
        unique=True,
        postgresql_where=sa.text("acknowledged_at IS NULL AND superseded_at IS NULL"),
    )
    op.create_table(
        "team_photos",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("grid_code", sa.Text(collation="C"), nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["grid_code"], ["teams.grid_code"], name=op.f("fk_team_photos_grid_code_teams")
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["team_members.id"], name=op.f("fk_team_photos_member_id_team_members")
        ),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_team_photos")),
    )
    op.create_table(
        "registry_residences",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("house_id", sa.Uuid(), nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column(
            "tenure",
            sa.Enum("owner", "tenant", "guest", name="tenure", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(household_id, person_id) = 1",
            name=op.f("ck_registry_residences_one_occupant"),
        ),
        sa.CheckConstraint(
            "until >= since", name=op.f("ck_registry_residences_since_before_until")
        ),
        sa.ForeignKeyConstraint(
            ["house_id"],
            ["registry_houses.id"],
            name=op.f("fk_registry_residences_house_id_registry_houses"),
        ),
        sa.ForeignKeyConstraint(
            ["household_id"],
            ["registry_households.id"],
            name=op.f("fk_registry_residences_household_id_registry_households"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["registry_persons.id"],
            name=op.f("fk_registry_residences_person_id_registry_persons"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_residences")),
    )
    op.create_index(
        op.f("ix_registry_residences_house_id"), "registry_residences", ["house_id"], unique=False
    )
    op.create_index(
        op.f("ix_registry_residences_household_id"),
        "registry_residences",
        ["household_id"],
        unique=False,
        postgresql_where=sa.text("household_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_registry_residences_person_id"),
        "registry_residences",
        ["person_id"],
        unique=False,
        postgresql_where=sa.text("person_id IS NOT NULL"),
    )
    op.alter_column("inbox_messages", "request_id", existing_type=sa.UUID(), nullable=True)
    op.alter_column("inbox_messages", "number", existing_type=sa.VARCHAR(length=24), nullable=True)
    op.create_index("ix_request_call_backs_at", "request_call_backs", ["at"], unique=False)
    op.create_index(
        "ix_request_events_watched",
        "request_events",
        ["at"],
        unique=False,
        postgresql_where=sa.text("action IN ('withdraw', 'correct')"),
    )
    op.create_index("ix_request_ratings_at", "request_ratings", ["at"], unique=False)
    op.create_index(
        "ix_request_replies_sent",
        "request_replies",
        ["sent_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NOT NULL"),
    )
    op.add_column("requests", sa.Column("grid_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("requests", sa.Column("said_contacted", sa.Boolean(), nullable=True))
    op.add_column("requests", sa.Column("office_s", sa.Integer(), nullable=True))
    op.add_column(
        "requests",
        sa.Column("reassigned", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_index(
        "ix_requests_callable",
        "requests",
        ["replied_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('closed', 'replied') AND called_back_at IS NULL"),
    )
    op.create_index(
        "ix_requests_grid_first",
        "requests",
        ["grid_until"],
        unique=False,
        postgresql_where=sa.text("state = 'triage' AND grid_until IS NOT NULL"),
    )
    op.create_index(
        "ix_requests_open",
        "requests",
        ["state", sa.literal_column("submitted_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text(
            "state NOT IN ('closed', 'rejected', 'withdrawn', 'merged', 'archived')"
        ),
    )
    op.create_index(
        "ix_requests_to_call",
        "requests",
        [sa.literal_column("submitted_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("sampled AND called_back_at IS NULL"),
    )
    op.execute(_FIRST_RULE_SET)
    op.add_column(
        "routing_rules", sa.Column("set_version", sa.Integer(), server_default="1", nullable=False)
    )
    op.add_column(
        "routing_rules",
        sa.Column(
            "kind",
            sa.Enum(
                "consult",
                "help",
                "complaint",
                "report",
                "suggestion",
                "praise",
                name="kind",
                native_enum=False,
                length=40,
            ),
            nullable=True,
        ),
    )
    op.add_column(
        "routing_rules",
        sa.Column(
            "time_window", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
    )
    op.add_column(
        "routing_rules",
        sa.Column(
            "co_unit_codes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
    )
    op.add_column("routing_rules", sa.Column("policy_code", sa.Text(), nullable=True))
    op.add_column(
        "routing_rules",
        sa.Column("grid_first_minutes", sa.Integer(), server_default="0", nullable=False),
    )
    op.drop_index(
        op.f("uq_routing_rules_scope"),
        table_name="routing_rules",
        postgresql_nulls_not_distinct=True,
    )
    op.create_index("ix_routing_rules_set", "routing_rules", ["set_version", "id"], unique=False)
    op.create_foreign_key(
        op.f("fk_routing_rules_set_version_routing_rule_sets"),
        "routing_rules",
        "routing_rule_sets",
        ["set_version"],
        ["version"],
    )
    op.add_column(
        "sla_policies", sa.Column("internal_days", sa.Integer(), server_default="2", nullable=False)
    )

    op.execute(_APPEND_ONLY)
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON figure_snapshots FROM CURRENT_USER, PUBLIC")
    for table in ("audit_entries", "audit_roots", "figure_snapshots"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        )


def downgrade() -> None:
    for table in ("audit_entries", "audit_roots", "figure_snapshots"):
        op.execute(f"DROP TRIGGER append_only ON {table}")
    op.execute("DROP FUNCTION audit_is_append_only()")
    op.drop_column("sla_policies", "internal_days")
    op.drop_constraint(
        op.f("fk_routing_rules_set_version_routing_rule_sets"), "routing_rules", type_="foreignkey"
    )
    op.drop_index("ix_routing_rules_set", table_name="routing_rules")
    op.create_index(
        op.f("uq_routing_rules_scope"),
        "routing_rules",
        ["category_code", "grid_code", "priority"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.drop_column("routing_rules", "grid_first_minutes")
    op.drop_column("routing_rules", "policy_code")
    op.drop_column("routing_rules", "co_unit_codes")
    op.drop_column("routing_rules", "time_window")
    op.drop_column("routing_rules", "kind")
    op.drop_column("routing_rules", "set_version")
    op.drop_index(
        "ix_requests_to_call",
        table_name="requests",
        postgresql_where=sa.text("sampled AND called_back_at IS NULL"),
    )
    op.drop_index(
        "ix_requests_open",
        table_name="requests",
        postgresql_where=sa.text(
            "state NOT IN ('closed', 'rejected', 'withdrawn', 'merged', 'archived')"
        ),
    )
    op.drop_index(
        "ix_requests_grid_first",
        table_name="requests",
        postgresql_where=sa.text("state = 'triage' AND grid_until IS NOT NULL"),
    )
    op.drop_index(
        "ix_requests_callable",
        table_name="requests",
        postgresql_where=sa.text("state IN ('closed', 'replied') AND called_back_at IS NULL"),
    )
    op.drop_column("requests", "reassigned")
    op.drop_column("requests", "office_s")
    op.drop_column("requests", "said_contacted")
    op.drop_column("requests", "grid_until")
    op.drop_index(
        "ix_request_replies_sent",
        table_name="request_replies",
        postgresql_where=sa.text("sent_at IS NOT NULL"),
    )
    op.drop_index("ix_request_ratings_at", table_name="request_ratings")
    op.drop_index(
        "ix_request_events_watched",
        table_name="request_events",
        postgresql_where=sa.text("action IN ('withdraw', 'correct')"),
    )
    op.drop_index("ix_request_call_backs_at", table_name="request_call_backs")
    op.alter_column("inbox_messages", "number", existing_type=sa.VARCHAR(length=24), nullable=False)
    op.alter_column("inbox_messages", "request_id", existing_type=sa.UUID(), nullable=False)
    op.drop_index(
        op.f("ix_registry_residences_person_id"),
        table_name="registry_residences",
        postgresql_where=sa.text("person_id IS NOT NULL"),
    )
    op.drop_index(
        op.f("ix_registry_residences_household_id"),
        table_name="registry_residences",
        postgresql_where=sa.text("household_id IS NOT NULL"),
    )
    op.drop_index(op.f("ix_registry_residences_house_id"), table_name="registry_residences")
    op.drop_table("registry_residences")
    op.drop_table("team_photos")
    op.drop_index(
        "uq_team_handovers_pending",
        table_name="team_handovers",
        postgresql_where=sa.text("acknowledged_at IS NULL AND superseded_at IS NULL"),
    )
    op.drop_index(op.f("ix_team_handovers_grid_code_created_at"), table_name="team_handovers")
    op.drop_table("team_handovers")
    op.drop_index(
        "uq_registry_houses_code",
        table_name="registry_houses",
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.drop_index(
        "ix_registry_houses_grid",
        table_name="registry_houses",
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.drop_index(
        op.f("ix_registry_houses_building_id"),
        table_name="registry_houses",
        postgresql_where=sa.text("building_id IS NOT NULL"),
    )
    op.drop_table("registry_houses")
    op.drop_index(op.f("ix_call_back_draws_request_id"), table_name="call_back_draws")
    op.drop_table("call_back_draws")
    op.drop_index(
        "uq_team_members_open_single",
        table_name="team_members",
        postgresql_where=sa.text("single AND until IS NULL"),
    )
    op.drop_index(
        op.f("ix_team_members_staff_id"),
        table_name="team_members",
        postgresql_where=sa.text("staff_id IS NOT NULL"),
    )
    op.drop_index(
        op.f("ix_team_members_phone_index"),
        table_name="team_members",
        postgresql_where=sa.text("phone_index IS NOT NULL"),
    )
    op.drop_index(op.f("ix_team_members_grid_code_since"), table_name="team_members")
    op.drop_table("team_members")
    op.drop_index(
        "uq_registry_persons_id_number",
        table_name="registry_persons",
        postgresql_where=sa.text("id_number_index IS NOT NULL"),
    )
    op.drop_index(
        "uq_registry_persons_code",
        table_name="registry_persons",
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.drop_index(
        "ix_registry_persons_tagged",
        table_name="registry_persons",
        postgresql_where=sa.text("active AND tags <> '{}'"),
    )
    op.drop_index(
        op.f("ix_registry_persons_phone_index"),
        table_name="registry_persons",
        postgresql_where=sa.text("phone_index IS NOT NULL"),
    )
    op.drop_index(
        op.f("ix_registry_persons_household_id"),
        table_name="registry_persons",
        postgresql_where=sa.text("household_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_registry_persons_grid",
        table_name="registry_persons",
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.drop_table("registry_persons")
    op.drop_index(
        "uq_registry_buildings_code",
        table_name="registry_buildings",
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.drop_index(
        op.f("ix_registry_buildings_plot_id"),
        table_name="registry_buildings",
        postgresql_where=sa.text("plot_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_registry_buildings_grid",
        table_name="registry_buildings",
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.drop_table("registry_buildings")
    op.drop_index(
        "uq_plaques_in_force", table_name="plaques", postgresql_where=sa.text("revoked_at IS NULL")
    )
    op.drop_table("plaques")
    op.drop_index(
        "uq_measure_exclusions_pending",
        table_name="measure_exclusions",
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.drop_index("ix_measure_exclusions_unit", table_name="measure_exclusions")
    op.drop_index(op.f("ix_measure_exclusions_request_id"), table_name="measure_exclusions")
    op.drop_index(
        "ix_measure_exclusions_in_force",
        table_name="measure_exclusions",
        postgresql_where=sa.text("state = 'approved'"),
    )
    op.drop_index("ix_measure_exclusions_asked", table_name="measure_exclusions")
    op.drop_table("measure_exclusions")
    op.drop_index(op.f("ix_legacy_unit_grids_grid_code"), table_name="legacy_unit_grids")
    op.drop_table("legacy_unit_grids")
    op.drop_table("grid_lineage")
    op.drop_table("grid_import_places")
    op.drop_table("call_back_strata")
    op.drop_table("teams")
    op.drop_table("team_rules")
    op.drop_table("statistics_state")
    op.drop_index("ix_statistics_rollups_cohort", table_name="statistics_rollups")
    op.drop_table("statistics_rollups")
    op.drop_index(
        "ix_statistics_exports_open",
        table_name="statistics_exports",
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.drop_index("ix_statistics_exports_of", table_name="statistics_exports")
    op.drop_index(
        "ix_statistics_exports_kept",
        table_name="statistics_exports",
        postgresql_where=sa.text("state = 'done'"),
    )
    op.drop_table("statistics_exports")
    op.drop_table("statistics_days")
    op.drop_index(
        "uq_routing_rule_sets_active",
        table_name="routing_rule_sets",
        postgresql_where=sa.text("state = 'active'"),
    )
    op.drop_table("routing_rule_sets")
    op.drop_table("routing_models")
    op.drop_index("uq_routing_history_origin", table_name="routing_history")
    op.drop_index("ix_routing_history_type", table_name="routing_history")
    op.drop_index("ix_routing_history_sub_type", table_name="routing_history")
    op.drop_index("ix_routing_history_main_type", table_name="routing_history")
    op.drop_table("routing_history")
    op.drop_index(
        "uq_registry_plots_code",
        table_name="registry_plots",
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.drop_index(
        "ix_registry_plots_grid",
        table_name="registry_plots",
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.drop_table("registry_plots")
    op.drop_index(
        "uq_registry_households_code",
        table_name="registry_households",
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.drop_index(
        "ix_registry_households_tagged",
        table_name="registry_households",
        postgresql_where=sa.text("active AND tags <> '{}'"),
    )
    op.drop_index(
        "ix_registry_households_grid",
        table_name="registry_households",
        postgresql_include=["collected_at"],
        postgresql_where=sa.text("active"),
    )
    op.drop_table("registry_households")
    op.drop_index(op.f("ix_registry_collections_taken_at"), table_name="registry_collections")
    op.drop_table("registry_collections")
    op.drop_table("legacy_units")
    op.drop_index(op.f("ix_grid_versions_code_valid_from"), table_name="grid_versions")
    op.drop_table("grid_versions")
    op.drop_table("grid_load_rules")
    op.drop_table("grid_level_names")
    op.drop_index(op.f("ix_grid_imports_created_at"), table_name="grid_imports")
    op.drop_table("grid_imports")
    op.drop_table("grid_counties")
    op.drop_index("ix_figure_snapshots_published", table_name="figure_snapshots")
    op.drop_table("figure_snapshots")
    op.drop_table("call_back_campaigns")
