"""Traces as a data set: exported from the cache for others to replay without weights or a GPU, and imported again.

    <folder>/<model>-<task>-<hash>/trace.json       what it is a trace of, and all that scoring needs
                                  /<shard>.parquet  the shards, as they lie in the cache

A shard's name is a hash of the prompts of its documents, and one of its content.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eebench.archives import Limits, name_part, opened, written_whole
from eebench.errors import EEBenchError
from eebench.published.kept_traces import DESCRIPTION, KeptTrace, check_hashes, published_in
from eebench.statistics import fingerprint
from eebench.traces.cache import DamagedTrace, TraceCache, read_trace, read_tree

LIMITS = Limits(files=100_000, bytes=1 << 38)
"""Of what is imported: a quarter of a terabyte."""


def folder_name(kept: KeptTrace) -> str:
    """What the folder of a published trace is called."""
    which = hashlib.sha256(f"{kept.key.digest}{kept.manifest.documents_hash}".encode()).hexdigest()
    return f"{name_part(kept.manifest.model)}-{name_part(kept.key.task)}-{which[:12]}"


def export_traces(traces: Sequence[KeptTrace], path: Path) -> None:
    """Write traces to a folder or a .tar.gz, a folder each.

    Raises:
        EEBenchError: a trace is damaged, or `path` is there already or cannot be written.
    """
    with written_whole(path) as folder:
        for kept in traces:
            kept.load()  # nobody should publish what is damaged
            own = folder / folder_name(kept)
            own.mkdir()
            for file in kept.files:
                shutil.copyfile(file, own / file.name)
            (own / DESCRIPTION).write_text(kept.description().model_dump_json(indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Imported:
    """A trace that was brought into the cache, and how many of its shards were not there before.

    `foreign` is whether it was made with other statistics than this EEBench's, so that a run does not use it.
    """

    trace: KeptTrace
    new: int
    foreign: bool


def import_traces(path: Path, cache: TraceCache) -> list[Imported]:
    """Bring published traces into the cache; shards that are there already, and whole, stay as they are.

    Raises:
        EEBenchError: a file is damaged or is no trace of EEBench's. Nothing is imported in that case.
    """
    with opened(path, LIMITS) as folder:
        found = published_in(folder)
        for kept in found:
            check_hashes(kept)
            kept.load()
        return [_import(kept, cache) for kept in found]


def _import(kept: KeptTrace, cache: TraceCache) -> Imported:
    new = 0
    for file, shard in zip(kept.files, kept.manifest.shards, strict=True):
        if not _has(cache, kept, shard.name):
            cache.put(kept.key, file.name, file.read_bytes())
            new += 1
    cache.put(kept.key, kept.manifest.file_name, kept.manifest.to_bytes())
    return Imported(kept, new, kept.key.statistics != fingerprint())


def _has(cache: TraceCache, kept: KeptTrace, shard: str) -> bool:
    """Whether the cache has a good file of these documents; it was made here, and another may differ by rounding."""
    for path in cache.folder(kept.key).glob(f"{shard}-*.parquet"):
        try:
            (read_tree if kept.manifest.generates else read_trace)(path)
        except (DamagedTrace, FileNotFoundError):
            continue
        return True
    return False


def pick(traces: Sequence[KeptTrace], documents: str | None) -> KeptTrace:
    """One set of documents of a trace: the largest, or that whose hash begins like this.

    Raises:
        EEBenchError: there is none.
    """
    for kept in traces:
        if documents is None or kept.manifest.documents_hash.startswith(documents):
            return kept
    known = ", ".join(kept.manifest.documents_hash[:12] for kept in traces)
    raise EEBenchError(f"no documents of this trace have a hash that begins with '{documents}': there are {known}.")
