"""What the files of a bundle may hold, and the records of `eebench.records.results` that are made of them.

What a file says is checked here for its form only; whether it can be true, `eebench.submission.verification` says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from eebench.policy import Kind
from eebench.records.results import COIN, Columns, Evaluation, KvMode, MetricValue, Provenance, Result, Summary
from eebench.scoring import SEQUENCE_COLUMNS

LARGEST_NUMBER = 1e300
"""Of those whose meaning is not known here."""

FORMAT = 2
"""Raised whenever a bundle means something else than before."""

Line = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Text that may be printed: no control characters."""


def _shows(text: str) -> str:
    """Two names that look alike are one name."""
    if text != text.strip() or any(unicodedata.category(one) in ("Cf", "Zl", "Zp") for one in text):
        raise ValueError("it begins or ends in a blank, or holds something that does not show")
    return text


def _is_a_time(text: str) -> str:
    if not re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", text, re.ASCII):
        raise ValueError("it should be a time like 2026-01-31T12:34:56+00:00")
    datetime.fromisoformat(text)
    return text


def _plain(value: Any) -> Any:
    """What may stand where anything may: what can be printed, and what every database keeps."""
    if isinstance(value, dict):
        for name, one in value.items():
            _plain(name)
            _plain(one)
    elif isinstance(value, list):
        for one in value:
            _plain(one)
    elif isinstance(value, str) and not value.isprintable():
        raise ValueError("it holds text that cannot be printed")
    elif isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
        raise ValueError("it holds a number that is none, or too large")
    return value


Term = Annotated[Line, AfterValidator(_shows)]
"""Something that others are told apart from by how it reads."""
Named = Annotated[Term, Field(min_length=1)]
PolicyName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Time = Annotated[str, AfterValidator(_is_a_time)]
Plain = Annotated[dict[str, Any], AfterValidator(_plain)]
Parameters = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")], Any], AfterValidator(_plain)
]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
Whole = Annotated[int, Field(ge=-(2**40), le=2**40)]
"""A count; over all layers and documents, its products and sums are still whole numbers of 64 bits."""
Small = Annotated[int, Field(ge=0, lt=2**31)]
"""A count that every database has room for."""
Name = Annotated[str, Field(pattern=r"^(evaluations|policies)/[A-Za-z0-9._-]{1,200}$")]
Parts = Literal["all", "calibration", "test"]


class Record(BaseModel):
    """What all parts of a bundle are: nothing but the fields that are named."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Figures(Record):
    """`eebench.records.results.Summary`."""

    n_docs: Whole
    n_positions: Whole
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

    def summary(self) -> Summary:
        """As a record."""
        return Summary(**self.model_dump())


Item = tuple[float | None, float | None]
"""The main metric of a document and its weight."""


class Row(Record):
    """One document under one setting."""

    n_positions: Whole
    exit_layers: Whole
    lens_reads: Whole
    agrees: Whole
    flops: float
    flops_full: float
    quality: Item
    answer_length: float | None = None
    common_prefix: float | None = None
    departs: float | None = None
    repetition: float | None = None
    kept: float | None = None


class DocumentRow(Record):
    """What all settings share of a document; `coin` is it when everything stops at layer 1."""

    id: Whole
    hash: Digest
    part: Literal["calibration", "test"]
    n_positions: Whole
    layer_agrees: tuple[Whole, ...]
    prompt_hash: Digest
    trace_hash: Digest
    coin: Row


class EvaluationFile(Record):
    """`eebench.records.results.Evaluation`, with a line per document."""

    model: Named
    model_id: Named
    revision: Named
    dtype: Named
    num_layers: Annotated[int, Field(ge=1, le=10_000)]
    task: Named
    task_version: Term
    num_fewshot: Annotated[int, Field(ge=0, le=1000)]
    chat_template: bool
    kv_mode: KvMode
    documents_hash: Digest
    metric: Term
    metric_direction: Literal[-1, 1]
    chance: float
    informative: bool
    informative_note: Line
    n_docs: Small
    n_positions: Small
    cost: Plain
    coin_end: dict[Parts, Figures]
    documents: Annotated[tuple[DocumentRow, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_a_number_per_layer(self) -> Self:
        if any(len(row.layer_agrees) != self.num_layers for row in self.documents):
            raise ValueError("layer_agrees should have a number per layer")
        return self

    def record(self) -> Evaluation:
        """As a record."""
        plain = {field.name: getattr(self, field.name) for field in fields(Evaluation)}
        plain["coin_end"] = {part: figures.summary() for part, figures in self.coin_end.items()}
        return Evaluation(**{**plain, "documents": _shared_columns(self.documents)})


class Rows(Record):
    """`eebench.records.results.Result.documents`: a list per column; one left out is as where all stop at layer 1."""

    id: tuple[Whole, ...] | None = None
    n_positions: tuple[Whole, ...] | None = None
    exit_layers: tuple[Whole, ...] | None = None
    lens_reads: tuple[Whole, ...] | None = None
    agrees: tuple[Whole, ...] | None = None
    flops: tuple[float, ...] | None = None
    flops_full: tuple[float, ...] | None = None
    quality: tuple[Item, ...] | None = None
    answer_length: tuple[float, ...] | None = None
    common_prefix: tuple[float, ...] | None = None
    departs: tuple[float, ...] | None = None
    repetition: tuple[float, ...] | None = None
    kept: tuple[float, ...] | None = None

    def columns(self, shared: Columns) -> dict[str, NDArray[Any]]:
        """As arrays, of the documents' ids besides."""
        own = _columns(self.model_dump(exclude_none=True))
        coin = {name.removeprefix(COIN): values for name, values in shared.items() if name.startswith(COIN)}
        return {"id": shared["id"], **coin, **own}


class Metric(Record):
    """`eebench.records.results.MetricValue`."""

    value: float | None
    stderr: float | None


class ResultLine(Record):
    """`eebench.records.results.Result`, a line of a file."""

    policy: PolicyName
    kind: Kind
    setting: Named
    params: Parameters
    builtin: bool
    policy_hash: Digest
    metrics: dict[Line, Metric]
    quality_full: float | None
    summaries: dict[Parts, Figures]
    exit_histogram: tuple[Whole, ...]
    selection: dict[Literal["before", "at", "after"], float]
    documents: Rows

    def record(self, shared: Columns) -> Result:
        """As a record; its columns may be of different lengths, and hold the documents' ids besides.

        Args:
            shared: the columns of the evaluation's documents.
        """
        plain = {field.name: getattr(self, field.name) for field in fields(Result)}
        return Result(
            **{
                **plain,
                "metrics": {name: MetricValue(one.value, one.stderr) for name, one in self.metrics.items()},
                "summaries": {part: figures.summary() for part, figures in self.summaries.items()},
                "exit_histogram": list(self.exit_histogram),
                "documents": self.documents.columns(shared),
            }
        )


class FromRun(Record):
    """`eebench.records.results.Provenance`, and when the run began and ended."""

    started: Time
    finished: Time
    command: Annotated[str, Field(max_length=100_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    device: Line
    device_name: Line
    versions: dict[Line, Line]
    git_commit: Line | None
    git_dirty: bool | None

    def provenance(self) -> Provenance:
        """As a record."""
        return Provenance(**self.model_dump(exclude={"started", "finished"}))


class EvaluationFiles(Record):
    """Where an evaluation and its results are."""

    evaluation: Name
    results: Name


class SourceFile(Record):
    """Where the source of a policy is that is not built in; results name it by its hash."""

    sha256: Digest
    file: Name


class Contents(Record):
    """`bundle.json`: what a bundle holds; `files` is the SHA-256 of every other file."""

    format: Literal[2]
    run: FromRun
    evaluations: Annotated[tuple[EvaluationFiles, ...], Field(min_length=1)]
    policies: tuple[SourceFile, ...]
    files: dict[Name, Digest]


# --- columns -----------------------------------------------------------------------------------------------------

_FLOATS = ("flops", "flops_full", "quality", *SEQUENCE_COLUMNS)


def _columns(lists: Mapping[str, Sequence[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of the types that scoring makes; a missing number is NaN."""
    made = {name: np.array(values, dtype=np.float64 if name in _FLOATS else np.int64) for name, values in lists.items()}
    if "quality" in made:
        made["quality"] = made["quality"].reshape(-1, 2)
    return made


def _shared_columns(rows: Sequence[DocumentRow]) -> dict[str, NDArray[Any]]:
    made: dict[str, NDArray[Any]] = {
        name: np.array([getattr(row, name) for row in rows])
        for name in ("id", "hash", "part", "n_positions", "layer_agrees", "prompt_hash", "trace_hash")
    }
    coins = [row.coin.model_dump(exclude_none=True) for row in rows]
    lists = {name: [coin.get(name) for coin in coins] for name in coins[0]}
    return made | {f"{COIN}{name}": values for name, values in _columns(lists).items()}
