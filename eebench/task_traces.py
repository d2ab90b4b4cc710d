"""A task on a model: its likelihood requests traced, or its answers decoded as a tree, through the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from lm_eval.api.instance import Instance

from eebench.generation.answers import LikelihoodAnswers, TreeAnswers
from eebench.harness import LoadedTask, TaskOptions
from eebench.metrics import TaskScorer
from eebench.policy import Bools, Bound, ExitPolicy, Hindsight
from eebench.progress import Advance, Progress, Silent
from eebench.scoring import Scorer
from eebench.statistics import REGISTRY, fingerprint
from eebench.subject import Subject
from eebench.traces.cache import DamagedTrace, TraceCache, TraceKey, shard_digest
from eebench.traces.manifest import CostNumbers, ShardOf, TraceManifest, hash_of_documents
from eebench.traces.prompts import PromptedDocument, configured_beyond_greedy
from eebench.traces.trace import Trace, concatenate
from eebench.traces.tracing import EncodedDocument, trace_documents
from eebench.traces.trees import Tree, Walk, concatenate_trees

if TYPE_CHECKING:
    from eebench.generation.execution import ExecutionMode

SHARD_DOCUMENTS = 32
SHARD_POSITIONS = 4096
SHARD_ANSWERS = 16
"""Documents of a generation task in a shard: they are decoded together, and are what a stopped run may lose."""


@dataclass(frozen=True)
class Traced:
    """A task on a model, ready for settings to be scored.

    Attributes:
        trace: the positions of the task; in generation, of the full model's own answers.
        documents_hash: a hash of all prompts; only results that share it are compared.
        prompt_hashes: the same of each document. [documents]
        decode: has settings decoded together, so that they can be scored; nothing to do where a trace serves them all.
        executed: in generation, the scorer of settings that are executed under a KV mode.
    """

    trace: Trace
    scorer: Scorer
    documents_hash: str
    prompt_hashes: Sequence[str]
    decode: Callable[[Sequence[ExitPolicy]], None]
    executed: Callable[[ExecutionMode], Scorer] | None = None


def trace_task(
    subject: Subject,
    task: LoadedTask,
    options: TaskOptions,
    *,
    batch_size: int | None = None,
    cache: TraceCache | None = None,
    progress: Progress | None = None,
    metric: str | None = None,
) -> Traced:
    """Trace a task, using the shards that are in the cache and adding those that are not.

    Args:
        metric: what to measure quality in; by default the task's own main metric.

    Raises:
        EEBenchError: the task does not define that metric.
    """
    progress = progress or Silent()
    instances = task.requests(options, subject.encoder)
    shards = _Shards(subject, task, options, cache, progress)
    if task.generates:
        return _decode_task(subject, task, instances, shards, batch_size, metric)
    return _trace_task(subject, task, instances, shards, batch_size, metric)


def _trace_task(
    subject: Subject,
    task: LoadedTask,
    instances: Sequence[Instance],
    shards: _Shards,
    batch_size: int | None,
    metric: str | None,
) -> Traced:
    documents = subject.encoder.encode(instances)
    tokens = [request.num_positions for document in documents for request in document.requests]
    scorer = TaskScorer(task, instances, tokens, subject.vocab_size, metric)
    traces: list[Trace] = []
    cut = list(cut_into_shards(documents))
    with shards.stage("Tracing", len(documents)) as advance:
        for shard in cut:
            trace = shards.load(TraceCache.load, shard)
            if trace is None:
                trace = trace_documents(subject.reader, shard, batch_size)
                shards.save(shard, trace)
            traces.append(trace)
            advance(len(shard))
    shards.note_reused(len(traces))
    shards.describe(cut, scorer)
    trace = concatenate(traces)
    answers = LikelihoodAnswers(trace, scorer, subject.cost)
    hashes = _hashes(documents)
    replayed = Scorer(answers, subject.cost, scorer)
    return Traced(trace, replayed, hash_of_documents(hashes), hashes, lambda _settings: None)


def cut_into_shards(documents: Sequence[EncodedDocument]) -> Iterator[list[EncodedDocument]]:
    """Documents in order, a few at a time: what a stopped run may lose."""
    shard: list[EncodedDocument] = []
    positions = 0
    for document in documents:
        if shard and (len(shard) == SHARD_DOCUMENTS or positions + document.num_positions > SHARD_POSITIONS):
            yield shard
            shard, positions = [], 0
        shard.append(document)
        positions += document.num_positions
    yield shard


# --- generation --------------------------------------------------------------------------------------------------


def _decode_task(
    subject: Subject,
    task: LoadedTask,
    instances: Sequence[Instance],
    shards: _Shards,
    batch_size: int | None,
    metric: str | None,
) -> Traced:
    documents = subject.encoder.encode_prompts(instances)
    if beyond := configured_beyond_greedy(subject.loaded.model):
        shards.progress.warn(
            f"{subject.loaded.name}: its generation configuration asks for {', '.join(beyond)}, which plain lm-eval "
            f"applies and greedy decoding here does not."
        )
    scorer = TaskScorer(task, instances, metric=metric)
    forest = Forest(subject, documents, shards, batch_size)
    tree, walk = forest.way(FullModelReadWhole())
    shards.describe(forest.shards, scorer)

    @cache
    def text(request: int, tokens: tuple[int, ...]) -> str:
        return subject.encoder.text(instances[request], tokens)

    def executed(kv_mode: ExecutionMode) -> Scorer:
        from eebench.generation.executed import ExecutedAnswers

        stop = subject.encoder.stop_rule
        executed = ExecutedAnswers(subject.executor, kv_mode, documents, answers.full_trace, scorer, text, stop)
        return Scorer(executed, subject.cost, scorer)

    answers = TreeAnswers(forest.way, tree.along(walk), scorer, subject.cost, text)
    replayed = Scorer(answers, subject.cost, scorer)
    hashes = _hashes(documents)
    return Traced(answers.full_trace, replayed, hash_of_documents(hashes), hashes, forest.decode, executed)


class FullModelReadWhole(Bound):
    """The full model, with every statistic read at every layer: what policies learn from and bounds look at."""

    def could_stop(self, hindsight: Hindsight) -> Bools:
        read = [hindsight.all_layers(name) for name in REGISTRY]
        return np.zeros(read[0].shape, dtype=bool)  # asking is what makes them read; it stops where all stop, at L


class Forest:
    """The trees of a task, a shard of documents each, which grow as settings are decoded on them.

    Attributes:
        shards: the documents of each tree.
    """

    def __init__(
        self, subject: Subject, documents: Sequence[PromptedDocument], shards: _Shards, batch_size: int | None
    ) -> None:
        """
        Args:
            batch_size: the most requests that are decoded together; None: all of a shard.
        """
        self._subject, self._shards, self._batch_size = subject, shards, batch_size
        starts = range(0, len(documents), SHARD_ANSWERS)
        self.shards = [documents[start : start + SHARD_ANSWERS] for start in starts]
        self._trees = [shards.load(TraceCache.load_tree, shard) for shard in self.shards]
        self._whole: Tree | None = None  # put together from all shards
        shards.note_reused(len(self._trees))

    def way(self, policy: ExitPolicy) -> tuple[Tree, Walk]:
        """The tree, and the whole way of a setting through it, decoded as far as it is not there yet."""
        if self._whole is not None:
            walk = self._whole.walk(policy)
            if not walk.leaves:
                return self._whole, walk
        self.decode([policy])
        assert self._whole is not None
        return self._whole, self._whole.whole_way(policy)

    def decode(self, settings: Sequence[ExitPolicy]) -> None:
        """Decode settings together, as far as their ways are not there yet."""
        from eebench.generation.tree_decoding import grow

        with self._shards.stage("Decoding", sum(map(len, self.shards)), _some(settings)) as advance:
            for number, documents in enumerate(self.shards):
                stop = self._subject.encoder.stop_rule
                grown = grow(self._subject.runner, self._trees[number], documents, settings, stop, self._batch_size)
                if grown is not self._trees[number]:
                    self._trees[number] = grown
                    self._whole = None
                    self._shards.save(documents, grown)
                advance(len(documents))
        if self._whole is None:
            self._whole = concatenate_trees([tree for tree in self._trees if tree is not None])


def _some(settings: Sequence[ExitPolicy]) -> str:
    return "" if len(settings) == 1 else f", {len(settings)} settings together"


# --- shards in the cache -----------------------------------------------------------------------------------------


class _Hashed(Protocol):
    """A document that knows a hash of all its tokens."""

    @property
    def prompt_hash(self) -> str: ...


Shard = TypeVar("Shard")


class _Shards:
    """The shards of one (model, task), in the cache or not, and what is said of them."""

    def __init__(
        self,
        subject: Subject,
        task: LoadedTask,
        options: TaskOptions,
        cache: TraceCache | None,
        progress: Progress,
    ) -> None:
        loaded = subject.loaded
        self._cache, self.progress = cache, progress
        self._subject, self._loaded_task, self._options = subject, task, options
        self._key = TraceKey(loaded.model_id, loaded.revision, loaded.dtype, task.name, task.version, fingerprint())
        self._model, self._task = loaded.name, task.name
        self._reused = 0

    def stage(self, doing: str, total: int, what: str = "") -> AbstractContextManager[Advance]:
        """A bar of documents."""
        return self.progress.stage(f"{doing} {self._task} on {self._model}{what}", total)

    def load(
        self, how: Callable[[TraceCache, TraceKey, str], Shard | None], documents: Sequence[_Hashed]
    ) -> Shard | None:
        """The shard of these documents, if there is a good one."""
        if self._cache is None:
            return None
        try:
            shard = how(self._cache, self._key, _digest(documents))
        except DamagedTrace as damaged:
            self.progress.warn(f"the cached trace {damaged} of {self._task} was damaged; it is made again")
            return None
        self._reused += shard is not None
        return shard

    def save(self, documents: Sequence[_Hashed], shard: Trace | Tree) -> None:
        """Keep a shard."""
        if self._cache:
            self._cache.save(self._key, _digest(documents), shard)

    def describe(self, shards: Sequence[Sequence[_Hashed]], scorer: TaskScorer) -> None:
        """Keep beside the shards what others need to replay them without the model.

        A trace is the same whatever its answers are measured in, so what it says of guessing is about the task's own
        main metric, whichever a run names.
        """
        if self._cache is None:
            return
        subject, task, own = self._subject, self._loaded_task, scorer.own
        hashes = [_hashes(documents) for documents in shards]
        manifest = TraceManifest(
            model=subject.loaded.name,
            vocab_size=subject.vocab_size,
            cost=CostNumbers.model_validate(subject.cost.to_json()),
            num_fewshot=task.num_fewshot,
            chat_template=self._options.chat_template,
            generates=task.generates,
            metric=own.name,
            metric_direction=own.direction,
            chance=own.chance,
            documents_hash=hash_of_documents([one for of_shard in hashes for one in of_shard]),
            shards=tuple(ShardOf(prompt_hashes=tuple(of_shard)) for of_shard in hashes),
        )
        self._cache.put(self._key, manifest.file_name, manifest.to_bytes())

    def note_reused(self, total: int) -> None:
        """Say how many shards were there."""
        if self._reused:
            self.progress.note(f"{self._task}: {self._reused} of {total} trace shards reused from the cache")


def _digest(documents: Sequence[_Hashed]) -> str:
    return shard_digest(_hashes(documents))


def _hashes(documents: Sequence[_Hashed]) -> list[str]:
    return [document.prompt_hash for document in documents]
