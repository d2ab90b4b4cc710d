"""Measure what a study is made of: traces of likelihood tasks, and executed answers of generation tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eebench.cache import traces_dir
from eebench.errors import EEBenchError
from eebench.fitting import fitted_settings
from eebench.harness import LoadedTask, TaskOptions, load_tasks
from eebench.models.loading import LoadOptions, load_tokenizer
from eebench.policy import ExitPolicy
from eebench.progress import Progress, Silent
from eebench.run import evaluation_of, with_references
from eebench.spec import PolicySpec, parse_policies
from eebench.study.capability import Capability, capability
from eebench.study.kv_copy import MODES, Decoded
from eebench.study.locating import best_located
from eebench.study.material import Material, TaskMaterial
from eebench.study.verdict import Studied
from eebench.study.words import Surfaces
from eebench.subject import Subject, load_subject
from eebench.task_traces import Traced, trace_task
from eebench.traces.cache import TraceCache

CALIBRATED = "confidence:calibrated=true,threshold=[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,0.95,0.98,0.99]"
"""Settings beside the default sweeps: does calibrating each layer's confidence help?"""

CALIBRATED_NAME = "confidence, calibrated"

KV_SETTINGS = ("confidence:threshold=[0.97,0.999]", "state:threshold=0.995")
"""What is executed under each KV mode."""

NOT_LOCATING = ("full", "oracle", "oracle-stable", "random")


@dataclass(frozen=True)
class StudyPlan:
    """What a study looks at.

    Attributes:
        tasks: likelihood tasks.
        generation_tasks: decoded under KV modes; none: that part is left out.
        half_layers: whether exits after attention are studied as well.
    """

    tasks: Sequence[LoadedTask]
    generation_tasks: Sequence[LoadedTask]
    task_options: TaskOptions
    generation_options: TaskOptions
    load_options: LoadOptions
    half_layers: bool = True
    use_cache: bool = True


def plan_study(
    tasks: Sequence[str],
    generation_tasks: Sequence[str],
    task_options: TaskOptions,
    generation_options: TaskOptions,
    load_options: LoadOptions,
    *,
    half_layers: bool = True,
    use_cache: bool = True,
) -> StudyPlan:
    """Check the names before anything is loaded or run.

    Raises:
        EEBenchError: a task that nobody knows, or of the wrong type.
    """
    likelihood, decoded = load_tasks(tasks, task_options), load_tasks(generation_tasks, generation_options)
    if wrong := next((task for task in likelihood if task.generates), None):
        raise EEBenchError(f"'{wrong.name}' is a generation task: name it with --kv-tasks.")
    if wrong := next((task for task in decoded if not task.generates), None):
        raise EEBenchError(f"'{wrong.name}' is of type {wrong.output_type}: --kv-tasks takes generation tasks.")
    return StudyPlan(likelihood, decoded, task_options, generation_options, load_options, half_layers, use_cache)


def check_pair(model: str, against: str, plan: StudyPlan) -> None:
    """Refuse two models that cut the tasks' documents into different tokens: nothing said per token compares them.

    Raises:
        EEBenchError: their tokenizers differ, or cannot be had.
    """
    one, other = (load_tokenizer(name, plan.load_options) for name in (model, against))
    for task in plan.tasks:
        for number in range(task.num_documents(plan.task_options)):
            text = str(task.task.eval_docs[number])
            if one(text).input_ids != other(text).input_ids:
                raise EEBenchError(
                    f"{model} and {against} cut documents of {task.name} into different tokens: a study holds models "
                    f"of one tokenizer against each other; study each by itself."
                )


@dataclass(frozen=True)
class Study:
    """Everything that was measured of one model.

    Attributes:
        half: how early it could stop on the grid of half layers; None where that was not asked for or cannot be.
        half_refused: why it cannot be.
    """

    studied: Studied
    half: Capability | None
    half_refused: str = ""

    @property
    def material(self) -> Material:
        return self.studied.material


def study(model: str, plan: StudyPlan, progress: Progress | None = None) -> Study:
    """Measure a model.

    Raises:
        EEBenchError: the model cannot be had, or cannot be read.
    """
    progress = progress or Silent()
    cache = TraceCache(traces_dir()) if plan.use_cache else None
    subject = load_subject(model, plan.load_options, progress)
    material, settings = _material(subject, plan, cache, progress)
    located = {policy: best_located(some, material) for policy, some in _by_policy(settings).items()}
    decoded = _decoded(subject, plan, cache, progress)
    half, refused = _half(model, plan, cache, progress)
    return Study(Studied(material, capability(material), located, decoded), half, refused)


def _material(
    subject: Subject, plan: StudyPlan, cache: TraceCache | None, progress: Progress
) -> tuple[Material, Sequence[ExitPolicy]]:
    """The tasks with all settings scored, and the settings fitted on all tasks' calibration documents together."""
    specs = _specs()
    tasks, traced_tasks = [], []
    for task in plan.tasks:
        traced = trace_task(subject, task, plan.task_options, cache=cache, progress=progress)
        traced_tasks.append(traced)
        tasks.append(_task_material(subject, task, traced, specs, plan, progress))
    loaded = subject.loaded
    material = Material(loaded.name, loaded.model_id, subject.cost, tasks, Surfaces(loaded.tokenizer))
    return material, fitted_settings(specs, material.trace, progress)


def _specs() -> list[PolicySpec]:
    return with_references(parse_policies(["all", CALIBRATED]))


def _task_material(
    subject: Subject,
    task: LoadedTask,
    traced: Traced,
    specs: Sequence[PolicySpec],
    plan: StudyPlan,
    progress: Progress,
) -> TaskMaterial:
    settings = fitted_settings(specs, traced.trace, progress)
    evaluation = evaluation_of(subject, task, plan.task_options, traced)
    results = []
    with progress.stage(f"Replaying {len(settings)} settings on {task.name}", len(settings)) as advance:
        for setting in settings:
            result = traced.scorer.score(setting)
            results.append(replace(result, policy=name_of(setting)))
            advance(1)
    return TaskMaterial(evaluation, traced.trace, results)


def name_of(setting: ExitPolicy) -> str:
    """A policy's name, calibrated confidence told apart."""
    return CALIBRATED_NAME if setting.name == "confidence" and setting.needs_fit else setting.name


def _by_policy(settings: Sequence[ExitPolicy]) -> dict[str, list[ExitPolicy]]:
    grouped: dict[str, list[ExitPolicy]] = {}
    for setting in settings:
        if setting.name not in NOT_LOCATING:
            grouped.setdefault(name_of(setting), []).append(setting)
    return grouped


def _decoded(subject: Subject, plan: StudyPlan, cache: TraceCache | None, progress: Progress) -> list[Decoded]:
    """The settings of `KV_SETTINGS` under each KV mode."""
    decoded = []
    for task in plan.generation_tasks:
        traced = trace_task(subject, task, plan.generation_options, cache=cache, progress=progress)
        settings = fitted_settings(parse_policies(KV_SETTINGS), traced.trace, progress)
        assert traced.executed is not None
        for mode in MODES:
            scorer = traced.executed(mode)
            evaluation = evaluation_of(subject, task, plan.generation_options, traced, mode, scorer)
            text = f"Executing {len(settings)} settings on {task.name}, KV mode {mode}"
            with progress.stage(text, len(settings)) as advance:
                for setting in settings:
                    result = scorer.score(setting)
                    decoded.append(Decoded(task.name, mode, setting.setting(), evaluation, result))
                    advance(1)
    return decoded


def _half(model: str, plan: StudyPlan, cache: TraceCache | None, progress: Progress) -> tuple[Capability | None, str]:
    if not plan.half_layers:
        return None, ""
    try:
        subject = load_subject(model, replace(plan.load_options, half_layers=True), progress)
    except EEBenchError as refused:
        progress.note(refused.message)
        return None, refused.message
    tasks = []
    for task in plan.tasks:
        traced = trace_task(subject, task, plan.task_options, cache=cache, progress=progress)
        tasks.append(TaskMaterial(evaluation_of(subject, task, plan.task_options, traced), traced.trace, ()))
    loaded = subject.loaded
    material = Material(loaded.name, loaded.model_id, subject.cost, tasks, Surfaces(loaded.tokenizer))
    return capability(material), ""
