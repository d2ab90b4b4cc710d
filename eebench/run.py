"""The run: models -> traces -> replay -> score -> store, in that order and never back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eebench.cache import traces_dir
from eebench.errors import EEBenchError
from eebench.fitting import fitted_settings
from eebench.harness import LoadedTask, TaskOptions, load_tasks
from eebench.named_metric import NamedMetric, named_metric
from eebench.own_tasks import GENERATION_TASKS
from eebench.plugins.registry import find_policy
from eebench.plugins.sources import keep_sources
from eebench.policy import ExitPolicy
from eebench.progress import Progress, Silent
from eebench.records.results import Evaluation, KvMode, Result, columns
from eebench.scoring import Scorer, coin_end_setting
from eebench.spec import PolicySpec, parse_policies
from eebench.subject import Subject, load_subject
from eebench.task_traces import Traced, trace_task
from eebench.traces.cache import TraceCache

if TYPE_CHECKING:
    from eebench.models.loading import LoadOptions
    from eebench.records.store import Store

REFERENCES = ("full", "oracle")
"""Measured in every run: what quality is retained of, and what an EE-score of 100 is."""


# --- settings on a traced task -----------------------------------------------------------------------------------


def evaluation_of(
    subject: Subject,
    task: LoadedTask,
    options: TaskOptions,
    traced: Traced,
    kv_mode: KvMode = "full",
    scorer: Scorer | None = None,
) -> Evaluation:
    """What all settings on this (model, task) share under a KV mode.

    Args:
        scorer: of executed settings; by default settings are replayed.
    """
    scorer, trace = scorer or traced.scorer, traced.trace
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
        kv_mode=kv_mode,
        documents_hash=traced.documents_hash,
        metric=scorer.task.measured_in.name,
        metric_direction=scorer.task.direction,
        chance=scorer.task.chance,
        informative=informative,
        informative_note=note,
        n_docs=len(scorer.documents),
        n_positions=trace.num_positions,
        cost=subject.cost.to_json(),
        coin_end=scorer.coin_end(),
        documents=columns(prompt_hash=traced.prompt_hashes, **scorer.document_columns()),
    )


def with_references(specs: Sequence[PolicySpec]) -> list[PolicySpec]:
    """The specs, and the settings that every run measures."""
    named = {spec.policy.name for spec in specs}
    return [*specs, *(PolicySpec(name, find_policy(name), {}) for name in REFERENCES if name not in named)]


# --- the whole run -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A traced (model, task) under a KV mode, and the settings to be scored on it."""

    evaluation: Evaluation
    settings: Sequence[ExitPolicy]
    traced: Traced
    scorer: Scorer
    how: str = "Replaying"

    def results(self, progress: Progress | None = None) -> Iterator[Result]:
        """Have each setting answer, and score it."""
        mode = f", KV mode {self.evaluation.kv_mode}" if self.how == "Executing" else ""
        text = f"{self.how} {len(self.settings)} settings on {self.evaluation.task}{mode}"
        with (progress or Silent()).stage(text, len(self.settings)) as advance:
            for setting in self.settings:
                yield self.scorer.score(setting)
                advance(1)


@dataclass(frozen=True)
class KvOptions:
    """What later tokens see at layers that an earlier token skipped, in generation.

    Attributes:
        modes: the KV modes to measure under.
        execute: decode by execution under `full` too, where a tree would do.
    """

    modes: Sequence[KvMode] = ("full",)
    execute: bool = False

    @property
    def all_executed(self) -> bool:
        """Whether nothing is replayed."""
        return self.execute or "full" not in self.modes


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to measure.

    Attributes:
        metric: what quality is measured in; by default each task's own main metric.
    """

    specs: Sequence[PolicySpec]
    models: Sequence[str]
    tasks: Sequence[LoadedTask]
    task_options: TaskOptions
    load_options: LoadOptions
    batch_size: int | None = None
    use_cache: bool = True
    kv: KvOptions = KvOptions()
    metric: NamedMetric | None = None


def plan(
    policies: Sequence[str],
    models: Sequence[str],
    tasks: Sequence[str],
    task_options: TaskOptions,
    load_options: LoadOptions | None = None,
    batch_size: int | None = None,
    use_cache: bool = True,
    kv: KvOptions | None = None,
    metric: str | None = None,
) -> RunPlan:
    """Check every name before anything is loaded or run.

    Raises:
        EEBenchError: a policy, model, task or metric that nobody knows, or a parameter that cannot be.
    """
    from eebench.models.loading import LoadOptions, check_dtype, choose_device, resolve

    options = load_options or LoadOptions()
    specs = with_references(parse_policies(policies))
    for model in models:
        resolve(model, allow_pickle=options.allow_pickle)
    if options.dtype:
        check_dtype(options.dtype)
    if options.device:
        choose_device(options.device)
    loaded = load_tasks(tasks, task_options)
    kv = kv or KvOptions()
    decoded = next((task for task in loaded if task.generates), None)
    if options.half_layers and decoded is not None:
        raise EEBenchError(
            f"task '{decoded.name}' is a generation task, and half layers are read where likelihoods are scored only: "
            f"leave --half-layers out, or take other tasks."
        )
    given = next((task for task in loaded if not task.generates), None)
    if given is not None and (kv.execute or tuple(kv.modes) != ("full",)):
        raise EEBenchError(
            f"task '{given.name}' is of type {given.output_type}, where nothing is decoded: --execute and --kv-mode "
            f"are for generation tasks, as {' or '.join(GENERATION_TASKS)}."
        )
    named = None if metric is None else named_metric(metric, loaded, task_options)
    return RunPlan(specs, models, loaded, task_options, options, batch_size, use_cache, kv, named)


def measure(plan: RunPlan, progress: Progress | None = None) -> Iterator[Measured]:
    """Measure a plan, a (model, task) at a time."""
    progress = progress or Silent()
    if plan.metric and plan.metric.lacking:
        progress.warn(plan.metric.keeps_their_own())
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
                metric=plan.metric.of(task) if plan.metric else None,
            )
            settings = fitted_settings(plan.specs, traced.trace, progress)
            if not plan.kv.all_executed:
                traced.decode([*settings, coin_end_setting()])
                yield Measured(evaluation_of(subject, task, plan.task_options, traced), settings, traced, traced.scorer)
            for kv_mode in plan.kv.modes if traced.executed else ():
                if kv_mode != "full" or plan.kv.execute:
                    yield _executed(subject, task, plan, traced, settings, kv_mode, progress)


def _executed(
    subject: Subject,
    task: LoadedTask,
    plan: RunPlan,
    traced: Traced,
    settings: Sequence[ExitPolicy],
    kv_mode: KvMode,
    progress: Progress,
) -> Measured:
    """The settings that go with a KV mode, ready to be executed under it; bounds see the future and do not."""
    assert traced.executed is not None
    scorer = traced.executed(kv_mode)
    goes = [setting for setting in settings if setting.kind != "bound" and (kv_mode != "truncate" or setting.fixed)]
    if left_out := sorted({s.name for s in settings if s.kind != "bound"} - {s.name for s in goes}):
        progress.warn(f"truncate left out for {', '.join(left_out)}: it cuts the model at one layer, as static does.")
    evaluation = evaluation_of(subject, task, plan.task_options, traced, kv_mode, scorer)
    return Measured(evaluation, goes, traced, scorer, "Executing")


def run(plan: RunPlan, store: Store, run_id: int, progress: Progress | None = None) -> int:
    """Measure a plan into a store, one transaction per finished setting; returns the number of results."""
    done = 0
    keep_sources(spec.policy for spec in plan.specs)
    for measured in measure(plan, progress):
        evaluation_id = store.add_evaluation(run_id, measured.evaluation)
        for result in measured.results(progress):
            store.add_result(evaluation_id, result)
            done += 1
    return done
