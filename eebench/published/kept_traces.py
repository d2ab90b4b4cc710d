"""Traces on disk with all that is needed to replay them without the model: in the cache, or published by others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eebench.errors import EEBenchError
from eebench.published.trace_checks import wrong_with, wrong_with_description
from eebench.traces.cache import FORMAT, CachedTrace, DamagedTrace, TraceCache, TraceKey, read_trace, read_tree
from eebench.traces.manifest import Hash, TraceManifest, manifests_in
from eebench.traces.trace import Trace, concatenate
from eebench.traces.trees import Tree, concatenate_trees

DESCRIPTION = "trace.json"

PUBLISHED_FORMAT = 1
"""Raised whenever a published folder means something else than before."""


class Key(BaseModel):
    """What a trace is a trace of, as `eebench.traces.cache.TraceKey` has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: str
    revision: str
    dtype: str
    task: str
    task_version: str
    statistics: str
    format: int


_NAMES = {"model_id", "revision", "dtype", "task", "task_version", "statistics"}


class ShardFile(BaseModel):
    """A Parquet file of some documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[0-9a-f]{24}-[0-9a-f]{24}\.parquet$")
    bytes: int = Field(ge=1)
    sha256: Hash


class Description(BaseModel):
    """The `trace.json` of a published trace."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    published_format: Literal[1]
    key: Key
    documents: TraceManifest
    files: tuple[ShardFile, ...]


@dataclass(frozen=True)
class KeptTrace:
    """A whole trace on disk.

    Attributes:
        folder: where it lies.
        files: a file per shard, in the order of the manifest's.
    """

    folder: Path
    key: TraceKey
    manifest: TraceManifest
    files: tuple[Path, ...]

    def load(self) -> Trace | Tree:
        """What the layers say, of all documents.

        Raises:
            EEBenchError: a file is damaged, or is not the trace that it is named as.
        """
        shards = [self._load(number) for number in range(len(self.files))]
        trees = [shard for shard in shards if isinstance(shard, Tree)]
        return concatenate_trees(trees) if trees else concatenate([s for s in shards if isinstance(s, Trace)])

    def _load(self, number: int) -> Trace | Tree:
        path, of = self.files[number], self.manifest.shards[number]
        try:
            shard = read_tree(path) if self.manifest.generates else read_trace(path)
        except (DamagedTrace, FileNotFoundError):
            raise EEBenchError(f"{path} is damaged or no trace of EEBench's: get it anew.") from None
        about = self.manifest
        if wrong := wrong_with(shard, about.num_layers, len(of.prompt_hashes), about.vocab_size):
            raise EEBenchError(f"{path} is no trace of EEBench's: {wrong}.")
        return shard

    def description(self) -> Description:
        """What is published of it beside its shards."""
        return Description(
            published_format=PUBLISHED_FORMAT,
            key=Key(**asdict(self.key)),
            documents=self.manifest,
            files=tuple(_described(path) for path in self.files),
        )

    def __str__(self) -> str:
        documents = len(self.manifest.prompt_hashes)
        return f"{self.manifest.model} on {self.key.task}, {documents} document{'' if documents == 1 else 's'}"


def _described(path: Path) -> ShardFile:
    content = path.read_bytes()
    return ShardFile(name=path.name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


# --- in the cache ------------------------------------------------------------------------------------------------


def in_cache(cache: TraceCache) -> list[KeptTrace]:
    """Every whole trace in the cache, those of one (model, task) with most documents first."""
    return [kept for cached in cache.traces() for kept in of_cached(cache, cached)]


def of_cached(cache: TraceCache, cached: CachedTrace) -> Iterator[KeptTrace]:
    """The sets of documents that a cached trace holds whole, the largest first."""
    if cached.key is None or cached.key.format != FORMAT:
        return
    folder = cache.root / cached.digest
    for manifest in manifests_in(folder):
        files = [_largest(folder, shard.name) for shard in manifest.shards]
        whole = tuple(path for path in files if path is not None)
        if len(whole) == len(files):
            yield KeptTrace(folder, cached.key, manifest, whole)


def _largest(folder: Path, shard: str) -> Path | None:
    """The file of a shard; of a tree that is being replaced, the one that holds more."""
    return max(folder.glob(f"{shard}-*.parquet"), key=lambda path: path.stat().st_size, default=None)


# --- published ---------------------------------------------------------------------------------------------------


def published_in(folder: Path) -> list[KeptTrace]:
    """The published traces in a folder: its own, or those of the folders in it.

    Raises:
        EEBenchError: there is none, or one that is damaged as far as its description tells.
    """
    own = (
        [folder]
        if (folder / DESCRIPTION).is_file()
        else sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION}"))
    )
    if not own:
        raise EEBenchError(
            f"{folder} holds no published trace: `eebench traces export` makes a folder with a {DESCRIPTION}."
        )
    return [read_published(one) for one in own]


def read_published(folder: Path) -> KeptTrace:
    """A published trace, its files checked for their size and names; `load` checks what is in them.

    Raises:
        EEBenchError: its description is damaged or of another version, or its files are not those described.
    """
    described = _read_description(folder / DESCRIPTION)
    _check_versions(folder, described)
    manifest = described.documents
    if wrong := wrong_with_description(described.key.model_dump(include=_NAMES), manifest):
        raise EEBenchError(f"{folder / DESCRIPTION} does not describe a trace: {wrong}.")
    names = [file.name.partition("-")[0] for file in described.files]
    if names != [shard.name for shard in manifest.shards]:
        raise EEBenchError(f"{folder / DESCRIPTION} names files that are not those of its documents: get it anew.")
    for file in described.files:
        path = folder / file.name
        if not path.is_file() or path.is_symlink() or path.stat().st_size != file.bytes:
            raise EEBenchError(f"{path} is missing, or not of the size that {DESCRIPTION} says: get it anew.")
    files = tuple(folder / file.name for file in described.files)
    return KeptTrace(folder, TraceKey(**described.key.model_dump()), manifest, files)


def check_hashes(kept: KeptTrace) -> None:
    """Compare the files of a published trace with the hashes in its description.

    Raises:
        EEBenchError: one differs.
    """
    for file in _read_description(kept.folder / DESCRIPTION).files:
        if _described(kept.folder / file.name) != file:
            raise EEBenchError(
                f"{kept.folder / file.name} is damaged: its SHA-256 is not what {DESCRIPTION} says; get it anew."
            )


def _read_description(path: Path) -> Description:
    try:
        return Description.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EEBenchError(f"{path} cannot be read ({error.strerror or error}).") from None
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"])) or "it"
        raise EEBenchError(f"{path} does not describe a trace: {where}: {wrong['msg']}.") from None


def _check_versions(folder: Path, described: Description) -> None:
    if described.key.format != FORMAT:
        raise EEBenchError(
            f"{folder} is a trace of format {described.key.format}, and this EEBench reads format {FORMAT}: have it "
            f"made again, or take the EEBench that made it."
        )
