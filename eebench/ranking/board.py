"""The leaderboard as data: what the ranking makes and the reports print."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from eebench.errors import unknown
from eebench.policy import Kind
from eebench.records.results import KvMode, StoredResult, StoredTiming

RankBy = Literal["layers", "compute", "quality"]

Interval = tuple[float, float]
"""From and to, at 95%."""


@dataclass(frozen=True)
class RankingRow:
    """One policy on the board, averaged over (model, task).

    EE-scores are on the scale 0 (the coin) to 100 (the oracle), and None where they cannot be told. The fields in
    `_99` are fractions: the setting is picked on calibration documents at fidelity 99%, the figures are those of the
    test documents. `setting_99` is None when there is more than one (model, task) and so no one setting. A rank is
    shared as long as its first is not surely better; controls and bounds have none, nor has a policy that was not
    measured where most were. Fields in `interval_` are those of the EE-scores, by a paired bootstrap over test
    documents, and None where documents cannot be drawn again. `_batch_8` and its like are what is left of the layers
    saved, over all documents, where so many sequences decode in lockstep.
    """

    rank: int | None
    policy: str
    kind: Kind
    bound: bool
    ee_score_layers: float | None
    ee_score_compute: float | None
    ee_score_quality: float | None
    skill_layers: float
    n_tasks: int
    n_models: int
    setting_99: str | None
    layers_saved_99: float | None
    compute_saved_99: float | None
    fidelity_99: float | None
    retention_99: float | None
    layers_saved_99_batch_8: float | None = None
    layers_saved_99_batch_32: float | None = None
    interval_layers: Interval | None = None
    interval_compute: Interval | None = None
    interval_quality: Interval | None = None


@dataclass(frozen=True)
class Board:
    """A ranking and the results it was made from.

    Attributes:
        summary: sentences on what the ranking means, printed under it.
        notes: sentences on what was left out, and why.
        by: the saving or the quality that decides the ranks.
        timings: measured time of the models on the board, which has no part in the ranking.
    """

    ranking: list[RankingRow]
    results: list[StoredResult]
    summary: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    by: RankBy = "layers"
    timings: list[StoredTiming] = field(default_factory=list)

    @property
    def kv_mode(self) -> KvMode:
        """What all results on the board were measured under."""
        return self.results[0].evaluation.kv_mode if self.results else "full"

    @property
    def single(self) -> bool:
        """Whether the board is about one model on one task."""
        return len({(stored.evaluation.model, stored.evaluation.task) for stored in self.results}) == 1

    @property
    def scope(self) -> str:
        """The models and tasks, by name or by number, and how many documents."""
        models = {stored.evaluation.model for stored in self.results}
        tasks = {stored.evaluation.task for stored in self.results}
        documents = {(s.evaluation.model, s.evaluation.task): s.evaluation.n_docs for s in self.results}
        return f"{_some(models, 'models')} on {_some(tasks, 'tasks')}, {sum(documents.values())} documents"

    def only(self, policies: Collection[str]) -> Board:
        """The board with the rows of these policies alone; ranks and scores stay those among all.

        Raises:
            EEBenchError: there is nothing on the board under one of the names.
        """
        known = sorted({stored.result.policy for stored in self.results})
        for name in policies:
            if name not in known:
                raise unknown("policy", name, known, f"On the board: {', '.join(known)}.")
        ranked = sum(row.rank is not None for row in self.ranking)
        return replace(
            self,
            ranking=[row for row in self.ranking if row.policy in policies],
            results=[stored for stored in self.results if stored.result.policy in policies],
            timings=[stored for stored in self.timings if stored.timing.policy in policies],
            notes=[*self.notes, f"Shown: {', '.join(policies)}; ranked among all {ranked} policies."],
        )


def _some(names: set[str], plural: str) -> str:
    return next(iter(names)) if len(names) == 1 else f"{len(names)} {plural}"
