"""The database's tables: a run makes evaluations (run x model x task), an evaluation has results (one per setting);
or it makes timings.

The columns of `evaluations`, `results` and `timings` are the fields of the dataclasses in `eebench.records.results`,
under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Double, ForeignKey, Index, LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from eebench.records.results import Columns


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC, aware of it on every database; SQLite itself keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo:
            return value and value.astimezone(UTC)
        return value.replace(tzinfo=UTC)


class PackedColumns(TypeDecorator[Columns]):
    """Named arrays with one row per document, as one compressed Arrow IPC stream."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Columns | None, dialect: Dialect) -> bytes | None:
        return None if value is None else pack(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Columns | None:
        return None if value is None else unpack(value)


def pack(columns: Columns) -> bytes:
    """Arrays of numbers, booleans or strings, [documents, ...], as bytes that `unpack` reads."""
    import pyarrow as pa  # here: a report never reads documents, and must start at once

    arrays, fields = [], []
    for name, values in columns.items():
        flat = pa.array(values.reshape(-1).tolist() if values.dtype.kind in "UO" else values.reshape(-1))
        inner = values.shape[1:]
        array = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(inner))) if inner else flat
        shape = ",".join(str(size) for size in inner)
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata={"shape": shape, "dtype": values.dtype.str}))
    schema, sink = pa.schema(fields), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        if arrays:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpack(packed: bytes) -> dict[str, NDArray[Any]]:
    """The arrays that were packed, with their shapes and types."""
    import pyarrow as pa

    table = pa.ipc.open_stream(packed).read_all()
    columns = {}
    for field in table.schema:
        column = table.column(field.name).combine_chunks()
        shape = [int(size) for size in field.metadata[b"shape"].decode().split(",") if size]
        values = column.flatten() if shape else column
        dtype = np.dtype(field.metadata[b"dtype"].decode())
        columns[field.name] = np.asarray(values.to_numpy(zero_copy_only=False), dtype).reshape(len(table), *shape)
    return columns


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UtcDateTime,
        float: Double,
        Mapping[str, Any]: JSON,
        list[int]: JSON,
        list[float]: JSON,
        Columns: PackedColumns,
    }

    id: Mapped[int] = mapped_column(primary_key=True)


class RunRow(Table):
    """One `eebench run` or `eebench time`, with its provenance."""

    __tablename__ = "runs"

    status: Mapped[str]
    started: Mapped[datetime]
    finished: Mapped[datetime | None]
    command: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    device: Mapped[str]
    device_name: Mapped[str]
    versions: Mapped[Mapping[str, Any]]
    git_commit: Mapped[str | None]
    git_dirty: Mapped[bool | None]


class EvaluationRow(Table):
    """One (model, task) of a run."""

    __tablename__ = "evaluations"
    __table_args__ = (Index(None, "model", "task"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    model: Mapped[str]
    model_id: Mapped[str]
    revision: Mapped[str]
    dtype: Mapped[str]
    num_layers: Mapped[int]
    task: Mapped[str]
    task_version: Mapped[str]
    num_fewshot: Mapped[int]
    chat_template: Mapped[bool]
    kv_mode: Mapped[str]
    documents_hash: Mapped[str]
    metric: Mapped[str]
    metric_direction: Mapped[int]
    chance: Mapped[float]
    informative: Mapped[bool]
    informative_note: Mapped[str]
    n_docs: Mapped[int]
    n_positions: Mapped[int]
    cost: Mapped[Mapping[str, Any]]
    coin_end: Mapped[Mapping[str, Any]]
    documents: Mapped[Columns] = mapped_column(deferred=True)

    results: Mapped[list[ResultRow]] = relationship(back_populates="evaluation")


class ResultRow(Table):
    """One setting on one evaluation."""

    __tablename__ = "results"
    __table_args__ = (Index(None, "evaluation_id", "policy", "setting"),)

    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluations.id"))
    finished: Mapped[datetime]
    policy: Mapped[str]
    kind: Mapped[str]
    setting: Mapped[str]
    params: Mapped[Mapping[str, Any]]
    builtin: Mapped[bool]
    policy_hash: Mapped[str]
    metrics: Mapped[Mapping[str, Any]]
    quality_full: Mapped[float | None]
    summaries: Mapped[Mapping[str, Any]]
    exit_histogram: Mapped[list[int]]
    selection: Mapped[Mapping[str, Any]]
    documents: Mapped[Columns] = mapped_column(deferred=True)

    evaluation: Mapped[EvaluationRow] = relationship(back_populates="results")


class TimingRow(Table):
    """One setting timed under one KV mode, on one (model, task) of a run."""

    __tablename__ = "timings"
    __table_args__ = (Index(None, "model", "task"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    finished: Mapped[datetime]
    model: Mapped[str]
    model_id: Mapped[str]
    revision: Mapped[str]
    dtype: Mapped[str]
    num_layers: Mapped[int]
    task: Mapped[str]
    task_version: Mapped[str]
    num_fewshot: Mapped[int]
    prompts_hash: Mapped[str]
    device_name: Mapped[str]
    threads: Mapped[int]
    n_prompts: Mapped[int]
    prompt_tokens: Mapped[float]
    new_tokens: Mapped[int]
    policy: Mapped[str]
    kind: Mapped[str]
    setting: Mapped[str]
    params: Mapped[Mapping[str, Any]]
    builtin: Mapped[bool]
    policy_hash: Mapped[str]
    kv_mode: Mapped[str]
    draft_length: Mapped[int | None]
    decode_seconds: Mapped[list[float]]
    prefill_seconds: Mapped[list[float]]
    full_decode_seconds: Mapped[list[float]]
    flops: Mapped[float]
    full_flops: Mapped[float]
    mean_exit_layer: Mapped[float]
    departs: Mapped[float]
