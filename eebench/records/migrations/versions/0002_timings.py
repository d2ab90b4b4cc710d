"""Timings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "timings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("dtype", sa.String(), nullable=False),
        sa.Column("num_layers", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("task_version", sa.String(), nullable=False),
        sa.Column("num_fewshot", sa.Integer(), nullable=False),
        sa.Column("prompts_hash", sa.String(), nullable=False),
        sa.Column("device_name", sa.String(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("n_prompts", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Double(), nullable=False),
        sa.Column("new_tokens", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("setting", sa.String(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("builtin", sa.Boolean(), nullable=False),
        sa.Column("policy_hash", sa.String(), nullable=False),
        sa.Column("kv_mode", sa.String(), nullable=False),
        sa.Column("draft_length", sa.Integer()),
        sa.Column("decode_seconds", sa.JSON(), nullable=False),
        sa.Column("prefill_seconds", sa.JSON(), nullable=False),
        sa.Column("full_decode_seconds", sa.JSON(), nullable=False),
        sa.Column("flops", sa.Double(), nullable=False),
        sa.Column("full_flops", sa.Double(), nullable=False),
        sa.Column("mean_exit_layer", sa.Double(), nullable=False),
        sa.Column("departs", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_timings"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_timings_run_id"),
    )
    op.create_index("ix_timings_run_id", "timings", ["run_id"])
    op.create_index("ix_timings_model_task", "timings", ["model", "task"])
