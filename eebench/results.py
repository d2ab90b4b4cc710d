"""The records of a run: what scoring makes, the store keeps, and the ranking and reports read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eebench.policy import Kind

KvMode = Literal["full", "propagate", "copy", "truncate"]
Columns = Mapping[str, NDArray[Any]]
"""Named arrays with one row per document, in the order of the evaluation's documents. [documents, ...]"""


@dataclass(frozen=True)
class Summary:
    """The figures of one setting over one set of documents (all of them, or a part of the split).

    Savings, fidelity and shares are fractions; `mean_exit_layer` counts from 1 and averages over positions;
    `lens_reads` is per position. `quality` is the value of the task's main metric, and it and `retention` are None
    where there is nothing to average or nothing to retain.

    In generation there are means over documents besides: `answer_length` and `common_prefix`, the tokens emitted, and
    how many of them until the answer first departs from the full model's; `departs`, the share of answers that do;
    `repetition`, the share of 4-grams that have stood in the answer before.
    """

    n_docs: int
    n_positions: int
    mean_exit_layer: float
    layers_saved: float
    compute_saved: float
    lens_reads: float
    fidelity: float
    quality: float | None
    retention: float | None
    answer_length: float | None = None
    common_prefix: float | None = None
    departs: float | None = None
    repetition: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """One (model, task) as it was measured: everything that all settings on it share.

    Attributes:
        model: the name users type: a catalogue alias, a hub id or a path.
        model_id: what it resolved to; `revision` is a commit or a content hash.
        documents_hash: a hash of all documents and prompts; only results that share it are compared.
        metric: the task's main metric, the one `quality` is measured in; `metric_direction` is +1 if higher is better.
        chance: the main metric's value for guessing.
        informative: whether the full model is significantly better than chance; `informative_note` says why not.
        cost: the cost model as plain numbers (`eebench.cost.CostModel.to_json`).
        coin_end: `calibration`, `test` and `all` -> summary of stopping everywhere at layer 1, where the no-skill line
            ends.
        documents: per document: `id`, `hash`, `part`, `n_positions`, and `layer_agrees` [documents, layers], the number
            of positions at which a layer's top-1 is the full model's.
    """

    model: str
    model_id: str
    revision: str
    dtype: str
    num_layers: int
    task: str
    task_version: str
    num_fewshot: int
    chat_template: bool
    kv_mode: KvMode
    documents_hash: str
    metric: str
    metric_direction: int
    chance: float
    informative: bool
    informative_note: str
    n_docs: int
    n_positions: int
    cost: Mapping[str, Any]
    coin_end: Mapping[str, Summary]
    documents: Columns = field(repr=False)


@dataclass(frozen=True)
class MetricValue:
    """A metric over all documents (None where it overflows), and its standard error where one is defined."""

    value: float | None
    stderr: float | None


@dataclass(frozen=True)
class Result:
    """One setting on one evaluation.

    Attributes:
        params: all parameters as plain JSON values, fitted ones included.
        builtin: whether the policy came with EEBench; `policy_hash` is the SHA-256 of the source file it came from.
        metrics: `metric,filter` -> value, every metric the task defines.
        summaries: `all`, `calibration` and `test` -> figures.
        exit_histogram: number of positions that stop at each layer. [layers]
        selection: shares of positions that stop `before`, `at` and `after` the oracle's layer; in generation, of those
            on the full model's own way.
        documents: per document: `n_positions`; `exit_layers`, `lens_reads`, `agrees`, `flops` and `flops_full` (what
            the full model would take), sums over its positions; and `quality` [documents, 2], the main metric and its
            weight (NaN where it is not a number per document). In generation also `answer_length`, `common_prefix`,
            `departs` and `repetition`.
    """

    policy: str
    kind: Kind
    setting: str
    params: Mapping[str, Any]
    builtin: bool
    policy_hash: str
    metrics: Mapping[str, MetricValue]
    quality_full: float | None
    summaries: Mapping[str, Summary]
    exit_histogram: list[int]
    selection: Mapping[str, float]
    documents: Columns = field(repr=False)


@dataclass(frozen=True)
class Provenance:
    """Where a run came from: enough to repeat it."""

    command: str
    seed: int
    device: str
    device_name: str
    versions: Mapping[str, str]
    git_commit: str | None
    git_dirty: bool | None


@dataclass(frozen=True)
class StoredResult:
    """A result as the store gives it back, without its per-document columns."""

    run_id: int
    evaluation_id: int
    result_id: int
    finished: str
    evaluation: Evaluation
    result: Result


def no_columns() -> Columns:
    """The columns of a record read without them."""
    return {}


def columns(**arrays: Any) -> dict[str, NDArray[Any]]:
    """Arrays by name, checked to have one row per document."""
    made = {name: np.asarray(values) for name, values in arrays.items()}
    if len({len(values) for values in made.values()}) > 1:
        raise ValueError(f"columns of different lengths: { {name: len(values) for name, values in made.items()} }")
    return made
