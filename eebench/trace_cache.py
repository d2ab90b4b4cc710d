"""Traces on disk: Parquet files of a few documents each, whole or not there, that later runs use again.

    <cache>/traces/<key>/trace.json                     what it is a trace of
                        /<documents>-<checksum>.parquet  one shard

A folder is keyed by model, task and statistics; a shard by every token of its documents. So a run that was stopped
goes on at the shard it had reached, and a larger --limit uses the shards of a smaller one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from eebench.errors import EEBenchError
from eebench.traces import Document, Request, Trace

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
"""Raised whenever a trace means something else than before."""

_ROW_COLUMNS = ("target", "position", "length", "context", "key", "request")
_STATISTIC = "statistic:"


class DamagedTrace(Exception):
    """A shard that is not what its checksum says, or cannot be read; it is made again."""


@dataclass(frozen=True)
class TraceKey:
    """What a trace is a trace of."""

    model_id: str
    revision: str
    dtype: str
    task: str
    task_version: str
    statistics: str
    format: int = FORMAT

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class CachedTrace:
    """A trace in the cache, as `eebench traces` lists it; `key` is None where its trace.json cannot be read."""

    digest: str
    key: TraceKey | None
    shards: int
    bytes: int


def shard_digest(prompt_hashes: Sequence[str]) -> str:
    """The name of the shard of documents with these prompt hashes."""
    return hashlib.sha256("\n".join(prompt_hashes).encode()).hexdigest()[:24]


class TraceCache:
    """The traces under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def load(self, key: TraceKey, shard: str) -> Trace | None:
        """A shard, or None if it is not there.

        Raises:
            DamagedTrace: it is there and not what was written; it has been removed.
        """
        for path in self._folder(key).glob(f"{shard}-*.parquet"):
            try:
                return _read(path)
            except FileNotFoundError:  # `eebench traces rm` was quicker
                return None
            except Exception as error:  # a damaged Parquet file raises whatever its reader stumbles over
                with suppress(OSError):
                    path.unlink()
                raise DamagedTrace(path.name) from error
        return None

    def save(self, key: TraceKey, shard: str, trace: Trace) -> None:
        """Write a shard: under its name it is whole or not there.

        Raises:
            EEBenchError: the folder cannot be written to.
        """
        folder = self._folder(key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / "trace.json", json.dumps(asdict(key), indent=2).encode())
            content = _to_parquet(trace)
            write_whole(folder / f"{shard}-{_checksum(content)}.parquet", content)
        except OSError as error:
            raise EEBenchError(
                f"the trace cache at {folder} cannot be written ({error.strerror or error}); make room, or set "
                f"EEBENCH_CACHE to another folder."
            ) from error

    def traces(self) -> list[CachedTrace]:
        """Everything in the cache, by model and task."""
        found = [_describe(folder) for folder in self.root.glob("*") if folder.is_dir()]
        return sorted(
            found, key=lambda trace: (trace.key.model_id, trace.key.task) if trace.key else ("", trace.digest)
        )

    def remove(self, digest: str) -> None:
        """Remove a trace with all its shards, if it is there.

        Raises:
            EEBenchError: it cannot be removed.
        """
        try:
            shutil.rmtree(self.root / digest)
        except FileNotFoundError:
            return
        except OSError as error:
            raise EEBenchError(f"{self.root / digest} cannot be removed ({error.strerror or error}).") from error

    def _folder(self, key: TraceKey) -> Path:
        return self.root / key.digest


def _describe(folder: Path) -> CachedTrace:
    sizes = []
    for shard in folder.glob("*.parquet"):
        with suppress(FileNotFoundError):  # removed meanwhile
            sizes.append(shard.stat().st_size)
    return CachedTrace(folder.name, _read_key(folder / "trace.json"), len(sizes), sum(sizes))


def _read_key(path: Path) -> TraceKey | None:
    try:
        return TraceKey(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that under its name it is whole or not there, whoever else writes it at the same time.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


# --- Parquet -----------------------------------------------------------------------------------------------------


def _to_parquet(trace: Trace) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    layers = trace.num_layers
    columns: dict[str, Any] = {name: pa.array(getattr(trace, name)) for name in _ROW_COLUMNS}
    per_layer = {f"{_STATISTIC}{name}": values for name, values in trace.statistics.items()}
    for name, values in {**per_layer, "target_logprob": trace.target_logprob}.items():  # [layers, positions]
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values.T).reshape(-1)), layers)
    about = {
        "requests": json.dumps([(request.document, request.index) for request in trace.requests]),
        "documents": json.dumps([(document.id, document.hash) for document in trace.documents]),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns).replace_schema_metadata(about), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _read(path: Path) -> Trace:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = path.read_bytes()
    if _checksum(content) != path.stem.rpartition("-")[2]:
        raise DamagedTrace(path.name)
    table = pq.read_table(pa.BufferReader(content))
    about = table.schema.metadata
    rows = {name: table.column(name).to_numpy() for name in _ROW_COLUMNS}
    statistics = {name for name in table.column_names if name.startswith(_STATISTIC)}
    return Trace(
        statistics={name.removeprefix(_STATISTIC): _per_layer(table, name) for name in sorted(statistics)},
        target_logprob=_per_layer(table, "target_logprob"),
        **rows,
        requests=tuple(Request(document, index) for document, index in json.loads(about[b"requests"])),
        documents=tuple(Document(number, digest) for number, digest in json.loads(about[b"documents"])),
    )


def _per_layer(table: pa.Table, name: str) -> Any:
    column = table.column(name).combine_chunks()
    layers = column.type.list_size
    return np.ascontiguousarray(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, layers).T)
