"""EEBench from Python: the same engine as the command line, results as pandas frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from eebench.cache import traces_dir
from eebench.fitting import fitted_settings
from eebench.harness import TaskOptions, load_tasks
from eebench.models.catalogue import DEFAULT_MODEL
from eebench.models.loading import LoadOptions
from eebench.own_tasks import LIKELIHOOD_TASKS
from eebench.progress import Progress
from eebench.ranking.board import RankBy
from eebench.ranking.rank import rank
from eebench.records.results import Evaluation, Result, StoredResult
from eebench.reports.text import ranking_records, result_records
from eebench.run import (
    Measured,
    evaluation_of,
    measure,
    plan,
)
from eebench.spec import parse_policies
from eebench.subject import load_subject
from eebench.task_traces import trace_task
from eebench.traces.cache import TraceCache

Names = str | Sequence[str]


def trace(
    model: str = DEFAULT_MODEL,
    task: str = "",
    *,
    limit: int | None = None,
    num_fewshot: int | None = None,
    chat_template: bool = False,
    seed: int = 1234,
    datasets_dir: str | Path | None = None,
    batch_size: int | None = None,
    use_cache: bool = True,
    metric: str | None = None,
    progress: Progress | None = None,
    **loading: Any,
) -> Measured:
    """Trace one model on one task: the only step that needs the weights.

    Args:
        metric: what quality is measured in; by default the task's own main metric.
        loading: the fields of `eebench.models.loading.LoadOptions`: `dtype`, `device`, `device_map`, ...

    Returns:
        The trace (`.traced.trace`, arrays of shape [layers, positions]) with what is needed to score settings on it.

    Raises:
        EEBenchError: the model or task cannot be had, the model cannot be read, or the task lacks the metric.
    """
    options = TaskOptions(limit, num_fewshot, chat_template, seed, _path(datasets_dir))
    (loaded,) = load_tasks([task], options)
    subject = load_subject(model, LoadOptions(**loading), progress)
    cache = TraceCache(traces_dir()) if use_cache else None
    traced = trace_task(subject, loaded, options, batch_size=batch_size, cache=cache, progress=progress, metric=metric)
    return Measured(evaluation_of(subject, loaded, options, traced), [], traced, traced.scorer)


def replay(measured: Measured, policies: Names) -> pd.DataFrame:
    """Decide and score settings on a trace, without the model.

    Args:
        policies: in the grammar of the command line: `"entropy"`, `"patience:patience=1..8"`, `"./my_policy.py"`.

    Returns:
        A row per setting, with the columns of `eebench report --format json`.
    """
    settings = fitted_settings(parse_policies(_names(policies)), measured.traced.trace)
    measured.traced.decode(settings)
    scored = [measured.traced.scorer.score(setting) for setting in settings]
    return pd.DataFrame.from_records(result_records(rank(_stored(measured.evaluation, scored))))


def evaluate(
    policies: Names = "all",
    models: Names = DEFAULT_MODEL,
    tasks: Names = (),
    *,
    limit: int | None = None,
    num_fewshot: int | None = None,
    chat_template: bool = False,
    seed: int = 1234,
    datasets_dir: str | Path | None = None,
    batch_size: int | None = None,
    use_cache: bool = True,
    rank_by: RankBy = "layers",
    metric: str | None = None,
    progress: Progress | None = None,
    **loading: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure policies on models and tasks, like `eebench run` without a database.

    Where no tasks are named, these are EEBench's own likelihood tasks.

    Args:
        metric: what quality is measured in, on tasks that define it; by default each task's own main metric.
        loading: the fields of `eebench.models.loading.LoadOptions`: `dtype`, `device`, `device_map`, ...

    Returns:
        The results, a row per (model, task, setting), and the ranking, a row per policy; the columns are those of
        `eebench report --format json`.

    Raises:
        EEBenchError: a policy, model, task or metric cannot be had, or a model cannot be read.
    """
    task_options = TaskOptions(limit, num_fewshot, chat_template, seed, _path(datasets_dir))
    names = _names(tasks) or list(LIKELIHOOD_TASKS)
    planned = plan(
        _names(policies),
        _names(models),
        names,
        task_options,
        LoadOptions(**loading),
        batch_size,
        use_cache,
        metric=metric,
    )
    stored: list[StoredResult] = []
    for measured in measure(planned, progress):
        stored.extend(_stored(measured.evaluation, measured.results(progress)))
    board = rank(stored, rank_by)
    return pd.DataFrame.from_records(result_records(board)), pd.DataFrame.from_records(ranking_records(board))


def _names(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _stored(evaluation: Evaluation, results: Iterable[Result]) -> list[StoredResult]:
    """Results as the store would give them back."""
    return [StoredResult(0, 0, number, "", evaluation, result) for number, result in enumerate(results)]
