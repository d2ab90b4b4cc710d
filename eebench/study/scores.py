"""EE-scores of the policies of a study, drawn as the board draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from eebench.ranking.drawn_figures import Draws
from eebench.ranking.draws import ScoreDraws
from eebench.records.results import Columns, StoredResult
from eebench.study.material import Material, TaskMaterial


def score_draws(material: Material) -> dict[str, Draws]:
    """EE-scores by layers of policies over the model's tasks, best first: of the sample and of each draw of documents.

    Two models on the same documents are drawn alike, so that the difference of their draws is a paired one.
    """
    studied = _Studied(material.tasks)
    draws = ScoreDraws(studied.by_policy, studied)
    found = {policy: draws.scores(policy, "layers") for policy in studied.by_policy}
    return dict(sorted(((p, own) for p, own in found.items() if own is not None), key=lambda pair: -pair[1][0]))


class _Studied:
    """The results of a study where the ranking looks for those of a database."""

    def __init__(self, tasks: Sequence[TaskMaterial]) -> None:
        self._evaluations = [task.evaluation for task in tasks]
        self.by_policy: dict[str, list[StoredResult]] = {}
        numbers = count()
        for evaluation_id, task in enumerate(tasks):
            for result in task.results:
                stored = StoredResult(0, evaluation_id, next(numbers), "", task.evaluation, result)
                self.by_policy.setdefault(result.policy, []).append(stored)

    def of_results(self, results: Sequence[StoredResult]) -> Mapping[int, Columns]:
        return {stored.result_id: stored.result.documents for stored in results}

    def of_evaluation(self, evaluation_id: int) -> Columns:
        return self._evaluations[evaluation_id].documents
