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
from eebench.traces.manifest import TraceManifest, manifests_in

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
    """Bring published traces into the cache; what is there already, and whole, stays as it is.

    Raises:
        EEBenchError: a file is damaged or is no trace of EEBench's, or the cache says something else of the same
            documents. Nothing is imported in that case.
    """
    with opened(path, LIMITS) as folder:
        found = published_in(folder)
        for kept in found:
            check_hashes(kept)
            kept.load()
            _check_manifest(kept, cache)
        return [_import(kept, cache) for kept in found]


def _import(kept: KeptTrace, cache: TraceCache) -> Imported:
    new = 0
    for file, shard in zip(kept.files, kept.manifest.shards, strict=True):
        if not _has(cache, kept, shard.name):
            cache.put(kept.key, file.name, file.read_bytes())
            new += 1
    if _manifest_there(kept, cache) is None:
        cache.put(kept.key, kept.manifest.file_name, kept.manifest.to_bytes())
    return Imported(kept, new, kept.key.statistics != fingerprint())


def _check_manifest(kept: KeptTrace, cache: TraceCache) -> None:
    """Refuse a trace of whose documents the cache says something else: results are checked by what it says.

    A model may go by another name here; it stays as it is.
    """
    there = _manifest_there(kept, cache)
    if there is None:
        return
    ours, theirs = there.model_dump(exclude={"model"}), kept.manifest.model_dump(exclude={"model"})
    differing = [name for name, value in ours.items() if theirs[name] != value]
    if differing:
        raise EEBenchError(
            f"{kept.folder / DESCRIPTION} says otherwise of {kept} than the trace cache does ({', '.join(differing)}), "
            f"so nothing was imported: `eebench traces rm {kept.key.digest[:12]}` removes what is there."
        )


def _manifest_there(kept: KeptTrace, cache: TraceCache) -> TraceManifest | None:
    """What the cache says of the same documents, if it says anything."""
    wanted = kept.manifest.documents_hash
    return next((one for one in manifests_in(cache.folder(kept.key)) if one.documents_hash == wanted), None)


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
