"""What a study looks at: every scored position of a model's tasks, pooled, with what each token is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eebench.policy import Bools, Ints
from eebench.ranking.bootstrap import Resampler
from eebench.records.results import Result, StoredResult
from eebench.study.words import Surfaces, TokenClasses, classes_of
from eebench.traces.trace import Trace, concatenate

if TYPE_CHECKING:
    from eebench.cost import CostModel
    from eebench.records.results import Evaluation


@dataclass(frozen=True)
class TaskMaterial:
    """One task on the model.

    Attributes:
        results: the settings scored on it.
    """

    evaluation: Evaluation
    trace: Trace
    results: Sequence[Result]

    @property
    def name(self) -> str:
        return self.evaluation.task


@dataclass(frozen=True)
class Material:
    """A model's tasks, and its positions pooled over them.

    Attributes:
        surfaces: what a token adds to a text.
    """

    model: str
    model_id: str
    cost: CostModel
    tasks: Sequence[TaskMaterial]
    surfaces: Surfaces

    @cached_property
    def trace(self) -> Trace:
        """All tasks as one trace."""
        return concatenate([task.trace for task in self.tasks])

    @property
    def num_layers(self) -> int:
        return self.trace.num_layers

    @cached_property
    def stored(self) -> list[StoredResult]:
        """The results of all tasks as the ranking takes them; an evaluation's id is its task's place in `tasks`."""
        pairs = [(place, result) for place, task in enumerate(self.tasks) for result in task.results]
        return [
            StoredResult(0, place, number, "", self.tasks[place].evaluation, result)
            for number, (place, result) in enumerate(pairs)
        ]

    @cached_property
    def resampler(self) -> Resampler:
        """Draws of documents, task by task."""
        return Resampler([len(task.trace.documents) for task in self.tasks])

    @cached_property
    def oracle(self) -> Ints:
        """The first layer whose top-1 is the final one. [positions]"""
        first: Ints = self.trace.agrees.argmax(axis=0) + 1
        return first

    @cached_property
    def stable(self) -> Ints:
        """The first layer from which the top-1 stays the final one. [positions]"""
        changes = ~self.trace.agrees[::-1]
        from_the_end = np.where(changes.any(axis=0), changes.argmax(axis=0), self.num_layers)
        stable: Ints = self.num_layers - from_the_end + 1
        return stable

    @cached_property
    def classes(self) -> TokenClasses:
        """What each position's target is."""
        texts = np.split(self.trace.target, np.flatnonzero(np.diff(self.trace.request)) + 1)
        return classes_of([[self.surfaces[int(token)] for token in text] for text in texts])

    def per_document(self, values: NDArray[Any] | float, where: Bools | None = None) -> NDArray[np.float64]:
        """Sums over each document's positions, of those positions alone that are `where`. [positions] -> [documents]"""
        trace = self.trace
        weights = np.broadcast_to(np.asarray(values, dtype=np.float64), trace.document.shape)
        if where is not None:
            weights = np.where(where, weights, 0.0)
        return np.bincount(trace.document, weights=weights, minlength=len(trace.documents)).astype(np.float64)
