"""The run: models -> traces -> replay -> score -> store, in that order and never back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eebench.cache import traces_dir
from eebench.cost import CostModel, cost_model
from eebench.fitting import fit_all
from eebench.harness import LoadedTask, TaskOptions, load_tasks
from eebench.metrics import TaskScorer
from eebench.policy import ExitPolicy
from eebench.progress import Progress, Silent
from eebench.registry import find_policy
from eebench.results import Evaluation, Result, columns
from eebench.scoring import Scorer
from eebench.spec import PolicySpec, parse_policies, settings_for
from eebench.statistics import fingerprint
from eebench.trace_cache import DamagedTrace, TraceCache, TraceKey, shard_digest
from eebench.traces import Trace, concatenate
from eebench.tracing import EncodedDocument, trace_documents

if TYPE_CHECKING:
    from eebench.blocks import LayerReader
    from eebench.encoding import Encoder
    from eebench.models import LoadedModel, LoadOptions
    from eebench.store import Store

DEFAULT_MODEL = "smollm2-135m"

REFERENCES = ("full", "oracle")
"""Measured in every run: what quality is retained of, and what an EE-score of 100 is."""

SHARD_DOCUMENTS = 32
SHARD_POSITIONS = 4096


@dataclass(frozen=True)
class Subject:
    """A model ready to be traced."""

    loaded: LoadedModel
    reader: LayerReader
    encoder: Encoder
    cost: CostModel


def load_subject(name: str, options: LoadOptions | None = None, progress: Progress | None = None) -> Subject:
    """Load a model, find its layers, and check that they are read exactly.

    Raises:
        EEBenchError: the model cannot be had, or cannot be read.
    """
    from eebench.blocks import LayerReader
    from eebench.encoding import Encoder
    from eebench.models import load_model

    with (progress or Silent()).stage(f"Loading {name}"):
        loaded = load_model(name, options)
        reader = LayerReader(loaded.model)
        return Subject(
            loaded, reader, Encoder(loaded.model, loaded.tokenizer), cost_model(loaded.model, list(reader.blocks))
        )


# --- tracing through the cache -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Traced:
    """A task's trace on a model, and the requests it was made of."""

    trace: Trace
    scorer: Scorer
    documents_hash: str


def trace_task(
    subject: Subject,
    task: LoadedTask,
    options: TaskOptions,
    *,
    batch_size: int | None = None,
    cache: TraceCache | None = None,
    progress: Progress | None = None,
) -> Traced:
    """Trace a task, using the shards that are in the cache and adding those that are not."""
    progress = progress or Silent()
    instances = task.requests(options, subject.encoder)
    documents = subject.encoder.encode(instances)
    tokens = [request.num_positions for document in documents for request in document.requests]
    scorer = TaskScorer(task, instances, tokens, vocab_size(subject))
    key = TraceKey(
        subject.loaded.model_id, subject.loaded.revision, subject.loaded.dtype, task.name, task.version, fingerprint()
    )
    shards = list(cut_into_shards(documents))
    traces: list[Trace] = []
    reused = 0
    with progress.stage(f"Tracing {task.name} on {subject.loaded.name}", len(documents)) as advance:
        for shard in shards:
            trace = _cached(cache, key, shard, progress)
            reused += trace is not None
            if trace is None:
                trace = trace_documents(subject.reader, shard, batch_size)
                if cache:
                    cache.save(key, shard_digest([document.prompt_hash for document in shard]), trace)
            traces.append(trace)
            advance(len(shard))
    if reused:
        progress.note(f"{task.name}: {reused} of {len(shards)} trace shards reused from the cache")
    trace = concatenate(traces)
    together = hashlib.sha256("\n".join(document.prompt_hash for document in documents).encode()).hexdigest()
    return Traced(trace, Scorer(trace, subject.cost, scorer), together)


def vocab_size(subject: Subject) -> int:
    """V, the number of tokens the head tells apart."""
    head: Any = subject.loaded.model.get_output_embeddings()
    return int(head.weight.shape[0])


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


def _cached(
    cache: TraceCache | None, key: TraceKey, shard: Sequence[EncodedDocument], progress: Progress
) -> Trace | None:
    if cache is None:
        return None
    try:
        return cache.load(key, shard_digest([document.prompt_hash for document in shard]))
    except DamagedTrace as damaged:
        progress.warn(f"the cached trace {damaged} of {key.task} was damaged; it is made again")
        return None


# --- settings on a traced task -----------------------------------------------------------------------------------


def evaluation_of(subject: Subject, task: LoadedTask, options: TaskOptions, traced: Traced) -> Evaluation:
    """What all settings on this (model, task) share."""
    scorer, trace = traced.scorer, traced.trace
    informative, note = scorer.task.informative(scorer.full_quality)
    return Evaluation(
        model=subject.loaded.name,
        model_id=subject.loaded.model_id,
        revision=subject.loaded.revision,
        dtype=subject.loaded.dtype,
        num_layers=trace.num_layers,
        task=task.name,
        task_version=task.version,
        num_fewshot=task.num_fewshot,
        chat_template=options.chat_template,
        kv_mode="full",
        documents_hash=traced.documents_hash,
        metric=scorer.task.main[0],
        metric_direction=scorer.task.direction,
        chance=scorer.task.chance,
        informative=informative,
        informative_note=note,
        n_docs=len(trace.documents),
        n_positions=trace.num_positions,
        cost=subject.cost.to_json(),
        coin_end=scorer.coin_end(),
        documents=columns(
            id=[document.id for document in trace.documents],
            hash=[document.hash for document in trace.documents],
            part=[document.part for document in trace.documents],
            n_positions=scorer.positions_per_document,
            layer_agrees=scorer.layer_agreement(),
        ),
    )


def fitted_settings(specs: Sequence[PolicySpec], trace: Trace, progress: Progress | None = None) -> list[ExitPolicy]:
    """The settings that specs mean on a traced model, those that learn fitted on the calibration documents.

    Where there are no calibration documents, policies that learn are left out with a warning.
    """
    settings = settings_for(specs, trace.num_layers)
    calibration = trace.in_part("calibration")
    if calibration.any():
        return fit_all(settings, trace.select(calibration))
    left_out = sorted({setting.name for setting in settings if setting.learns})
    if left_out:
        (progress or Silent()).warn(f"{', '.join(left_out)} left out: no document here is one to learn from; run more.")
    return [setting for setting in settings if not setting.learns]


def with_references(specs: Sequence[PolicySpec]) -> list[PolicySpec]:
    """The specs, and the settings that every run measures."""
    named = {spec.policy.name for spec in specs}
    return [*specs, *(PolicySpec(name, find_policy(name), {}) for name in REFERENCES if name not in named)]


# --- the whole run -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A traced (model, task), and the settings to be decided on it."""

    evaluation: Evaluation
    settings: Sequence[ExitPolicy]
    traced: Traced

    def results(self, progress: Progress | None = None) -> Iterator[Result]:
        """Replay and score each setting."""
        text = f"Replaying {len(self.settings)} settings on {self.evaluation.task}"
        with (progress or Silent()).stage(text, len(self.settings)) as advance:
            for setting in self.settings:
                yield self.traced.scorer.score(setting)
                advance(1)


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to measure."""

    specs: Sequence[PolicySpec]
    models: Sequence[str]
    tasks: Sequence[LoadedTask]
    task_options: TaskOptions
    load_options: LoadOptions
    batch_size: int | None = None
    use_cache: bool = True


def plan(
    policies: Sequence[str],
    models: Sequence[str],
    tasks: Sequence[str],
    task_options: TaskOptions,
    load_options: LoadOptions | None = None,
    batch_size: int | None = None,
    use_cache: bool = True,
) -> RunPlan:
    """Check every name before anything is loaded or run.

    Raises:
        EEBenchError: a policy, model or task that nobody knows, or a parameter that cannot be.
    """
    from eebench.models import LoadOptions, check_dtype, choose_device, resolve

    options = load_options or LoadOptions()
    specs = with_references(parse_policies(policies))
    for model in models:
        resolve(model, allow_pickle=options.allow_pickle)
    if options.dtype:
        check_dtype(options.dtype)
    if options.device:
        choose_device(options.device)
    loaded = load_tasks(tasks, task_options)
    return RunPlan(specs, models, loaded, task_options, options, batch_size, use_cache)


def measure(plan: RunPlan, progress: Progress | None = None) -> Iterator[Measured]:
    """Measure a plan, a (model, task) at a time."""
    progress = progress or Silent()
    cache = TraceCache(traces_dir()) if plan.use_cache else None
    for name in plan.models:
        subject = load_subject(name, plan.load_options, progress)
        for task in plan.tasks:
            traced = trace_task(
                subject,
                task,
                plan.task_options,
                batch_size=plan.batch_size,
                cache=cache,
                progress=progress,
            )
            settings = fitted_settings(plan.specs, traced.trace, progress)
            evaluation = evaluation_of(subject, task, plan.task_options, traced)
            yield Measured(evaluation, settings, traced)


def run(plan: RunPlan, store: Store, run_id: int, progress: Progress | None = None) -> int:
    """Measure a plan into a store, one transaction per finished setting; returns the number of results."""
    done = 0
    for measured in measure(plan, progress):
        evaluation_id = store.add_evaluation(run_id, measured.evaluation)
        for result in measured.results(progress):
            store.add_result(evaluation_id, result)
            done += 1
    return done
