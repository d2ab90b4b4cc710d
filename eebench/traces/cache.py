"""Traces on disk: Parquet files of a few documents each, whole or not there, that later runs use again.

    <cache>/traces/<key>/trace.json                     what it is a trace of
                        /<documents>-<checksum>.parquet  one shard

A folder is keyed by model, task and statistics; a shard by every token of its documents. So a run that was stopped
goes on at the shard it had reached, and a larger --limit uses the shards of a smaller one. The shard of a generation
task is a tree; it is replaced when further settings have been decoded on it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from eebench.errors import EEBenchError
from eebench.files import write_whole
from eebench.traces.trace import Document, Request, Trace
from eebench.traces.trees import Tree

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

FORMAT = 2
"""Raised whenever a trace means something else than before."""

_TRACE_ROWS = ("target", "position", "length", "context", "key", "request")
_TREE_ROWS = ("parent", "token", "position", "length", "context", "key", "request")
_TRACE_LAYERS = ("target_logprob", "final_divergence")
_TREE_LAYERS = ("known", "compared")
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
        """A shard of a likelihood task, or None if it is not there.

        Raises:
            DamagedTrace: it is there and not what was written; it has been removed.
        """
        return self._load(key, shard, read_trace)

    def load_tree(self, key: TraceKey, shard: str) -> Tree | None:
        """A shard of a generation task, or None if it is not there.

        Raises:
            DamagedTrace: it is there and not what was written; it has been removed.
        """
        return self._load(key, shard, read_tree)

    def _load(self, key: TraceKey, shard: str, read: Callable[[Path], T]) -> T | None:
        # Of a tree there are two for a moment, while it is replaced by one that holds more.
        for path in sorted(self.folder(key).glob(f"{shard}-*.parquet"), key=_size, reverse=True):
            try:
                return read(path)
            except FileNotFoundError:  # `eebench traces rm` was quicker, or another run that knew more
                continue
            except DamagedTrace:
                with suppress(OSError):
                    path.unlink()
                raise
        return None

    def save(self, key: TraceKey, shard: str, trace: Trace | Tree) -> None:
        """Write a shard: under its name it is whole or not there. A tree takes the place of what it has grown from.

        Raises:
            EEBenchError: the folder cannot be written to.
        """
        with self._writing(key) as folder:
            content = _parquet(_trace_table(trace) if isinstance(trace, Trace) else _tree_table(trace))
            path = folder / f"{shard}-{_checksum(content)}.parquet"
            write_whole(path, content)
            for older in set(folder.glob(f"{shard}-*.parquet")) - {path}:
                older.unlink(missing_ok=True)

    def put(self, key: TraceKey, name: str, content: bytes) -> None:
        """Write a file beside the shards, or a shard that somebody else has made; what is there alike is left alone.

        Raises:
            EEBenchError: the folder cannot be written to.
        """
        with self._writing(key) as folder:
            path = folder / name
            if not path.is_file() or path.read_bytes() != content:
                write_whole(path, content)

    @contextmanager
    def _writing(self, key: TraceKey) -> Iterator[Path]:
        """The folder of a trace, made and described."""
        folder = self.folder(key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / "trace.json", json.dumps(asdict(key), indent=2).encode())
            yield folder
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

    def folder(self, key: TraceKey) -> Path:
        """Where the shards of a trace are."""
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


# --- Parquet -----------------------------------------------------------------------------------------------------


def _trace_table(trace: Trace) -> pa.Table:
    per_layer = {f"{_STATISTIC}{name}": values for name, values in trace.statistics.items()}
    per_layer |= {name: getattr(trace, name) for name in _TRACE_LAYERS}
    return _table(trace, _TRACE_ROWS, per_layer, {})


def _tree_table(tree: Tree) -> pa.Table:
    per_layer = {f"{_STATISTIC}{name}": values for name, values in tree.statistics.items()}
    per_layer |= {name: getattr(tree, name) for name in _TREE_LAYERS}
    return _table(tree, _TREE_ROWS, per_layer, {"ends": json.dumps(tree.ends.tolist())})


def _table(
    trace: Trace | Tree, rows: Sequence[str], per_layer: Mapping[str, NDArray[Any]], about: Mapping[str, str]
) -> pa.Table:
    """A row per position; what is [layers, positions] as a list per row."""
    import pyarrow as pa

    columns: dict[str, Any] = {name: pa.array(getattr(trace, name)) for name in rows}
    for name, values in per_layer.items():
        flat = pa.array(np.ascontiguousarray(values.T).reshape(-1))
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, trace.num_layers)
    about = {
        **about,
        "requests": json.dumps([(request.document, request.index) for request in trace.requests]),
        "documents": json.dumps([(document.id, document.hash) for document in trace.documents]),
    }
    return pa.table(columns).replace_schema_metadata(about)


def _parquet(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_trace(path: Path) -> Trace:
    """A shard of a likelihood task, from its file.

    Raises:
        DamagedTrace: it is not what its checksum says, or cannot be read.
        FileNotFoundError: there is no such file.
    """
    return _read(path, _to_trace)


def read_tree(path: Path) -> Tree:
    """A shard of a generation task, from its file.

    Raises:
        DamagedTrace: it is not what its checksum says, or cannot be read.
        FileNotFoundError: there is no such file.
    """
    return _read(path, _to_tree)


def _read(path: Path, made_of: Callable[[pa.Table], T]) -> T:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = path.read_bytes()
        if _checksum(content) == path.stem.rpartition("-")[2]:
            return made_of(pq.read_table(pa.BufferReader(content)))
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged Parquet file raises whatever its reader stumbles over
        raise DamagedTrace(path.name) from error
    raise DamagedTrace(path.name)


def _to_trace(table: pa.Table) -> Trace:
    layers = {name: _per_layer(table, name) for name in _TRACE_LAYERS}
    return Trace(**layers, **_shared(table, _TRACE_ROWS))


def _to_tree(table: pa.Table) -> Tree:
    ends = np.array(json.loads(table.schema.metadata[b"ends"]), dtype=np.int32).reshape(-1, 2)
    layers = {name: _per_layer(table, name) for name in _TREE_LAYERS}
    return Tree(ends=ends, **layers, **_shared(table, _TREE_ROWS))


def _shared(table: pa.Table, rows: Sequence[str]) -> dict[str, Any]:
    """What traces and trees have in common."""
    about = table.schema.metadata
    statistics = sorted(name for name in table.column_names if name.startswith(_STATISTIC))
    return {
        **{name: table.column(name).to_numpy() for name in rows},
        "statistics": {name.removeprefix(_STATISTIC): _per_layer(table, name) for name in statistics},
        "requests": tuple(Request(document, index) for document, index in json.loads(about[b"requests"])),
        "documents": tuple(Document(number, digest) for number, digest in json.loads(about[b"documents"])),
    }


def _per_layer(table: pa.Table, name: str) -> Any:
    column = table.column(name).combine_chunks()
    layers = column.type.list_size
    return np.ascontiguousarray(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, layers).T)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
