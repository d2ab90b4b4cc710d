"""Score a setting: where it stops, what that saves, and what it costs in quality, per document and over all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.cost import CostModel
from eebench.metrics import TaskScorer
from eebench.policy import Bools, ExitPolicy
from eebench.registry import source_hash
from eebench.replaying import Decisions, replay
from eebench.results import Columns, MetricValue, Result, Summary, columns
from eebench.traces import Part, Trace

PARTS: tuple[Part, Part] = ("calibration", "test")


@dataclass(frozen=True)
class Scorer:
    """Everything needed to score settings on one (model, task)."""

    trace: Trace
    cost: CostModel
    task: TaskScorer

    def score(self, policy: ExitPolicy) -> Result:
        """Replay a setting and score it."""
        decisions = replay(policy, self.trace)
        scored = self._decided(decisions)
        metrics = {
            f"{metric},{name}": self.task.value((metric, name), items)
            for (metric, name), items in self.task.score(scored.responses).items()
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
            exit_histogram=np.bincount(decisions.exit_layer, minlength=self.trace.num_layers + 1)[1:].tolist(),
            selection=self._selection(decisions),
            documents=scored.columns,
        )

    @cached_property
    def full_quality(self) -> MetricValue:
        """The full model's quality over all documents."""
        return self.task.value(self.task.main, self.task.score(self._full.responses)[self.task.main])

    def coin_end(self) -> dict[str, Summary]:
        """Where the no-skill line ends: every position stops at layer 1 after one read."""
        first = np.ones(self.trace.num_positions, dtype=np.int16)
        return self._summaries(self._decided(Decisions(first, np.ones_like(first))))

    def layer_agreement(self) -> NDArray[np.int64]:
        """Per document, at how many positions a layer's top-1 is the full model's. [documents, layers]"""
        return np.stack([self._per_document(agrees) for agrees in self.trace.agrees], axis=1).astype(np.int64)

    @cached_property
    def positions_per_document(self) -> NDArray[np.int64]:
        """[documents]"""
        return np.bincount(self.trace.document, minlength=len(self.trace.documents)).astype(np.int64)

    @cached_property
    def _full(self) -> _Scored:
        last = np.full(self.trace.num_positions, self.trace.num_layers, dtype=np.int16)
        return self._decided(Decisions(last, np.ones_like(last)))

    @cached_property
    def _full_flops(self) -> NDArray[np.float64]:
        return self._per_document(self.cost.full(self.trace.context))

    @cached_property
    def _oracle_layer(self) -> NDArray[np.intp]:
        """The first layer whose top-1 is the final one. [positions]"""
        first: NDArray[np.intp] = self.trace.agrees.argmax(axis=0) + 1
        return first

    def _per_document(self, per_position: NDArray[Any]) -> NDArray[np.float64]:
        """Sums over each document's positions. [positions] -> [documents]"""
        documents = len(self.trace.documents)
        return np.bincount(self.trace.document, weights=per_position, minlength=documents).astype(np.float64)

    def _decided(self, decisions: Decisions) -> _Scored:
        logprobs, greedy = self.trace.answers(decisions.exit_layer)
        agrees = self.trace.agrees[decisions.exit_layer - 1, np.arange(self.trace.num_positions)]
        flops = self.cost.flops(decisions.exit_layer, decisions.lens_reads, self.trace.context)
        responses = self.task.responses(logprobs.tolist(), greedy.tolist())
        return _Scored(
            responses=responses,
            columns=columns(
                exit_layers=self._per_document(decisions.exit_layer).astype(np.int64),
                lens_reads=self._per_document(decisions.lens_reads).astype(np.int64),
                agrees=self._per_document(agrees).astype(np.int64),
                flops=self._per_document(flops),
                quality=self._quality_items(responses),
            ),
        )

    def _quality_items(self, responses: list[list[Any]]) -> NDArray[np.float64]:
        """The main metric of each document and its weight, NaN where it is not a number. [documents, 2]"""
        items = self.task.score(responses)[self.task.main]
        pairs = [item if isinstance(item, tuple) else (item, 1.0) for item in items]
        try:
            weighted = np.array(pairs, dtype=np.float64)
        except (TypeError, ValueError):
            weighted = np.empty(0)
        documents = len(self.trace.documents)
        return weighted if weighted.shape == (documents, 2) else np.full((documents, 2), np.nan)

    def _summaries(self, scored: _Scored) -> dict[str, Summary]:
        """Figures over all documents and over each part that has any."""
        chosen: dict[str, Bools] = {"all": np.ones(len(self.trace.documents), dtype=bool)}
        chosen |= {part: self.trace.in_part(part) for part in PARTS}
        return {part: self._summary(scored, documents) for part, documents in chosen.items() if documents.any()}

    def _summary(self, scored: _Scored, documents: Bools) -> Summary:
        sums: Mapping[str, float] = {name: float(values[documents].sum()) for name, values in scored.columns.items()}
        positions = int(self.positions_per_document[documents].sum())
        mean_exit = sums["exit_layers"] / positions
        quality = self._quality(scored, documents)
        return Summary(
            n_docs=int(documents.sum()),
            n_positions=positions,
            mean_exit_layer=mean_exit,
            layers_saved=1 - mean_exit / self.trace.num_layers,
            compute_saved=1 - sums["flops"] / float(self._full_flops[documents].sum()),
            lens_reads=sums["lens_reads"] / positions,
            fidelity=sums["agrees"] / positions,
            quality=quality,
            retention=self.task.retention(quality, self._quality(self._full, documents)),
        )

    def _quality(self, scored: _Scored, documents: Bools) -> float | None:
        items = self.task.documents_in(scored.responses, np.flatnonzero(documents).tolist())
        return self.task.main_value(items) if items else None

    def _selection(self, decisions: Decisions) -> dict[str, float]:
        """How often a setting stops before, at, or after the oracle's layer."""
        difference = decisions.exit_layer - self._oracle_layer
        shares = {"before": difference < 0, "at": difference == 0, "after": difference > 0}
        return {name: float(mask.mean()) for name, mask in shares.items()}


@dataclass(frozen=True)
class _Scored:
    """A setting's responses per document, and its sums per document."""

    responses: list[list[Any]]
    columns: Columns
