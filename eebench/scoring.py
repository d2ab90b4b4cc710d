"""Score a setting: where it stops, what that saves, and what it costs in quality, per document and over all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eebench.cost import CostModel
from eebench.generation.answers import Answerer, Answers, common_prefix, repetition, tokens_of
from eebench.plugins.registry import find_policy, source_hash
from eebench.policy import Bools, ExitPolicy, Ints
from eebench.records.results import COIN, Columns, MetricValue, Result, Summary, columns
from eebench.traces.trace import Document, Part, Trace

if TYPE_CHECKING:
    from eebench.metrics import TaskScorer

PARTS: tuple[Part, Part] = ("calibration", "test")


SEQUENCE_COLUMNS = ("answer_length", "common_prefix", "departs", "repetition", "kept")


@dataclass(frozen=True)
class Scorer:
    """Everything needed to score settings on one (model, task)."""

    answerer: Answerer
    cost: CostModel
    task: TaskScorer

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents scored, in order."""
        return self.answerer.full_trace.documents

    def score(self, policy: ExitPolicy) -> Result:
        """Have a setting answer, and score its answers."""
        scored = self._scored(policy)
        decisions, layers = scored.answers.decisions, scored.answers.trace.num_layers
        metrics = {
            f"{metric},{name}": self.task.value((metric, name), items)
            for (metric, name), items in self.task.score(scored.answers.responses).items()
        }
        builtin, policy_hash = source_hash(type(policy))
        return Result(
            policy=policy.name,
            kind=policy.kind,
            setting=policy.setting(),
            params=policy.params(),
            builtin=builtin,
            policy_hash=policy_hash,
            metrics=metrics,
            quality_full=self.full_quality.value,
            summaries=self._summaries(scored),
            exit_histogram=np.bincount(decisions.exit_layer, minlength=layers + 1)[1:].tolist(),
            selection=self._selection(scored.answers),
            documents=scored.columns,
        )

    @cached_property
    def full_quality(self) -> MetricValue:
        """The full model's quality over all documents."""
        return self.task.value(self.task.main, self.task.score(self._full.answers.responses)[self.task.main])

    def coin_end(self) -> dict[str, Summary]:
        """Where the no-skill line ends: every position stops at layer 1 after one read."""
        return self._summaries(self._coin_end)

    def coin_end_columns(self) -> Columns:
        """The same per document, under the names of a result's columns with `coin_` before them."""
        return {f"{COIN}{name}": values for name, values in self._coin_end.columns.items()}

    def document_columns(self) -> Columns:
        """What all settings share, per document: `Evaluation.documents` without the hashes of prompts."""
        return columns(
            id=[document.id for document in self.documents],
            hash=[document.hash for document in self.documents],
            part=[document.part for document in self.documents],
            trace_hash=self.answerer.full_trace.document_hashes(),
            n_positions=self.positions_per_document,
            layer_agrees=self.layer_agreement(),
            **self.coin_end_columns(),
        )

    def layer_agreement(self) -> NDArray[np.int64]:
        """Per document, at how many positions of the full model's own answers a layer's top-1 is the full model's.

        [documents, layers]
        """
        trace = self.answerer.full_trace
        return np.stack([_per_document(trace, agrees) for agrees in trace.agrees], axis=1).astype(np.int64)

    @cached_property
    def positions_per_document(self) -> NDArray[np.int64]:
        """Positions of the full model's own answers. [documents]"""
        return _per_document(self.answerer.full_trace, 1.0).astype(np.int64)

    @cached_property
    def _full(self) -> _Scored:
        return self._scored(find_policy("full")())

    @cached_property
    def _coin_end(self) -> _Scored:
        return self._scored(coin_end_setting())

    @cached_property
    def _full_answers(self) -> list[tuple[int, ...]]:
        return tokens_of(self.answerer.full_trace)

    def _scored(self, policy: ExitPolicy) -> _Scored:
        answers = self.answerer.answers(policy)
        trace, decisions = answers.trace, answers.decisions
        sequences = self._sequences(trace) if self.answerer.generates else {}
        return _Scored(
            answers,
            columns(
                n_positions=_per_document(trace, 1.0).astype(np.int64),
                exit_layers=_per_document(trace, decisions.exit_layer).astype(np.int64),
                lens_reads=_per_document(trace, decisions.lens_reads).astype(np.int64),
                agrees=_per_document(trace, answers.agrees).astype(np.int64),
                flops=_per_document(trace, answers.flops),
                flops_full=_per_document(trace, self.cost.full(trace.context)),
                quality=self._quality_items(answers.responses),
                **sequences,
            ),
        )

    def _sequences(self, trace: Trace) -> dict[str, NDArray[np.float64]]:
        """Statistics of answers as sequences, beside the full model's; means over a document's requests. [documents]"""
        own, full = tokens_of(trace), self._full_answers
        shared = [common_prefix(one, other) for one, other in zip(own, full, strict=True)]
        per_request: dict[str, list[float]] = {
            "answer_length": [len(tokens) for tokens in own],
            "common_prefix": list(map(float, shared)),
            "departs": [one != other for one, other in zip(own, full, strict=True)],
            "repetition": [repetition(tokens) for tokens in own],
            "kept": [n / max(len(a), len(b)) for n, a, b in zip(shared, own, full, strict=True)],
        }
        document = np.array([request.document for request in trace.requests])
        requests = np.bincount(document, minlength=len(self.documents))
        return {
            name: np.bincount(document, weights=values, minlength=len(self.documents)) / requests
            for name, values in per_request.items()
        }

    def _quality_items(self, responses: list[list[Any]]) -> NDArray[np.float64]:
        """The main metric of each document and its weight, NaN where it is not a number. [documents, 2]"""
        items = self.task.score(responses)[self.task.main]
        pairs = [item if isinstance(item, tuple) else (item, 1.0) for item in items]
        try:
            weighted = np.array(pairs, dtype=np.float64)
        except (TypeError, ValueError):
            weighted = np.empty(0)
        documents = len(self.documents)
        return weighted if weighted.shape == (documents, 2) else np.full((documents, 2), np.nan)

    def _summaries(self, scored: _Scored) -> dict[str, Summary]:
        """Figures over all documents and over each part that has any."""
        chosen: dict[str, Bools] = {"all": np.ones(len(self.documents), dtype=bool)}
        chosen |= {part: self.answerer.full_trace.in_part(part) for part in PARTS}
        return {part: self._summary(scored, documents) for part, documents in chosen.items() if documents.any()}

    def _summary(self, scored: _Scored, documents: Bools) -> Summary:
        sums: Mapping[str, float] = {name: float(values[documents].sum()) for name, values in scored.columns.items()}
        positions = int(sums["n_positions"])
        mean_exit = sums["exit_layers"] / positions
        quality = self._quality(scored, documents)
        return Summary(
            n_docs=int(documents.sum()),
            n_positions=positions,
            mean_exit_layer=mean_exit,
            layers_saved=1 - mean_exit / scored.answers.trace.num_layers,
            compute_saved=1 - sums["flops"] / sums["flops_full"],
            lens_reads=sums["lens_reads"] / positions,
            fidelity=sums["agrees"] / positions,
            quality=quality,
            retention=self.task.retention(quality, self._quality(self._full, documents)),
            **{name: sums[name] / int(documents.sum()) for name in SEQUENCE_COLUMNS if name in sums},
        )

    def _quality(self, scored: _Scored, documents: Bools) -> float | None:
        items = self.task.documents_in(scored.answers.responses, np.flatnonzero(documents).tolist())
        return self.task.main_value(items) if items else None

    def _selection(self, answers: Answers) -> dict[str, float]:
        """How often a setting stops before, at, or after the oracle's layer: the first whose top-1 is the final one."""
        oracle = self.answerer.full_trace.agrees.argmax(axis=0) + 1
        exits = answers.decisions.exit_layer
        if self.answerer.generates:  # elsewhere not all layers have been read
            there, way = self._on_full_way(answers.trace)
            exits, oracle = exits[there], oracle[way]
        difference = exits - oracle
        shares = {"before": difference < 0, "at": difference == 0, "after": difference > 0}
        return {name: float(mask.mean()) for name, mask in shares.items()}

    def _on_full_way(self, trace: Trace) -> tuple[Ints, Ints]:
        """The positions whose prefix the full model's own answer has as well, and which they are there."""
        full = self.answerer.full_trace
        shared = [common_prefix(*pair) for pair in zip(tokens_of(trace), self._full_answers, strict=True)]
        lengths = np.array([len(tokens) for tokens in self._full_answers])
        last = np.minimum(np.array(shared), lengths - 1)  # where they part they still have the same prefix
        there = np.flatnonzero(trace.position <= last[trace.request])
        first = np.searchsorted(full.request, trace.request[there])
        return there, first + trace.position[there]


def coin_end_setting() -> ExitPolicy:
    """The setting that stops everywhere at layer 1."""
    return find_policy("static")(layer=1)  # type: ignore[call-arg]


@dataclass(frozen=True)
class _Scored:
    """A setting's answers, and its sums per document."""

    answers: Answers
    columns: Columns


def _per_document(trace: Trace, per_position: NDArray[Any] | float) -> NDArray[np.float64]:
    """Sums over each document's positions. [positions] -> [documents]"""
    weights = np.broadcast_to(np.asarray(per_position, dtype=np.float64), trace.document.shape)
    return np.bincount(trace.document, weights=weights, minlength=len(trace.documents)).astype(np.float64)
