"""The records of a run: what scoring makes, the store keeps, and the ranking and reports read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eebench.policy import Kind

KvMode = Literal["full", "propagate", "copy", "truncate", "verify"]
"""What later tokens see at layers that an earlier token skipped (`eebench.generation.execution`)."""

KV_MODES: tuple[KvMode, ...] = get_args(KvMode)

COIN = "coin_"
"""Before the name of a column of an evaluation's documents: what stopping everywhere at layer 1 gives."""

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
    `repetition`, the share of 4-grams that have stood in the answer before; `kept`, how much of the answer comes before
    it departs, as a share of the longer of the two answers: 1 if and only if they are the same.
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
    kept: float | None = None

    @property
    def faithful(self) -> float:
        """What a ranking asks for beside saving: fidelity, and in generation the share of the answer that is kept.

        There fidelity, judged on the own prefix, would not do: the full model goes on with an answer that repeats
        itself, so a setting that has lost its way in a loop looks faithful, more so than the oracle.
        """
        return self.fidelity if self.kept is None else self.kept


@dataclass(frozen=True)
class Evaluation:
    """One (model, task) as it was measured: everything that all settings on it share.

    Attributes:
        model: the name users type: a catalogue alias, a hub id or a path.
        model_id: what it resolved to; `revision` is a commit or a content hash.
        documents_hash: a hash of all documents and prompts; only results that share it are compared.
        metric: the main metric, the one `quality` is measured in, with its filter (`metric,filter`) where that is not
            the first that has it; `metric_direction` is +1 if higher is better.
        chance: the main metric's value for guessing.
        informative: whether the full model is significantly better than chance; `informative_note` says why not.
        cost: the cost model as plain numbers (`eebench.cost.CostModel.to_json`).
        coin_end: `calibration`, `test` and `all` -> summary of stopping everywhere at layer 1, where the no-skill line
            ends.
        documents: per document: `id`, `hash`, `part`, `n_positions`, and `layer_agrees` [documents, layers], the number
            of positions at which a layer's top-1 is the full model's; `prompt_hash`, over the tokens of its prompts,
            and `trace_hash`, over what the layers say there; and the columns of `Result.documents` for stopping
            everywhere at layer 1, under `coin_` and their name.
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
            `departs`, `repetition` and `kept`.
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
class Timing:
    """One setting decoded for time, in rounds in which it takes turns with the full model.

    Attributes:
        task: where the prompts come from; `prompts_hash` is a hash of their tokens.
        device_name: what the device is called by its maker; `threads` are torch's on the processor.
        prompt_tokens: mean length of the prompts.
        new_tokens: decoded after each prompt, always as many.
        draft_length: in KV mode `verify`, the most tokens drafted before a check; else None.
        decode_seconds: from each prompt's last token to its answer's, over all prompts. [rounds]
        prefill_seconds: for the prompts but their last tokens, over all prompts. [rounds]
        full_decode_seconds: `decode_seconds` of the full model in the same rounds. [rounds]
        flops: of decoding all answers once, as counted while they were decoded; `full_flops`: the full model's.
        mean_exit_layer: over all tokens, from 1.
        departs: share of answers that are not the full model's.
    """

    model: str
    model_id: str
    revision: str
    dtype: str
    num_layers: int
    task: str
    task_version: str
    num_fewshot: int
    prompts_hash: str
    device_name: str
    threads: int
    n_prompts: int
    prompt_tokens: float
    new_tokens: int
    policy: str
    kind: Kind
    setting: str
    params: Mapping[str, Any]
    builtin: bool
    policy_hash: str
    kv_mode: KvMode
    draft_length: int | None
    decode_seconds: list[float]
    prefill_seconds: list[float]
    full_decode_seconds: list[float]
    flops: float
    full_flops: float
    mean_exit_layer: float
    departs: float

    @property
    def tokens_per_second(self) -> list[float]:
        """Tokens decoded per second, prefill apart. [rounds]"""
        return [self.n_prompts * self.new_tokens / seconds for seconds in self.decode_seconds]

    @property
    def ratios(self) -> list[float]:
        """The full model's time per token over this setting's, in the same round: above 1 it is faster. [rounds]"""
        return [full / own for full, own in zip(self.full_decode_seconds, self.decode_seconds, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of `ratios`."""
        return median(self.ratios)

    @property
    def predicted_ratio(self) -> float:
        """What the cost model makes of it: the full model's FLOPs per token over this setting's."""
        return self.full_flops / self.flops

    @property
    def is_full(self) -> bool:
        """Whether it is the full model, which all others are compared with."""
        return self.policy == "full"

    @property
    def inside_noise(self) -> bool:
        """Whether it was faster than the full model in some rounds and slower in others."""
        return not self.is_full and min(self.ratios) <= 1 <= max(self.ratios)


@dataclass(frozen=True)
class StoredTiming:
    """A timing as the store gives it back; `finished` is an ISO 8601 time in UTC."""

    run_id: int
    timing_id: int
    finished: str
    timing: Timing


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
