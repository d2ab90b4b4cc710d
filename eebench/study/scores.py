"""EE-scores of the policies of a study, drawn as the board draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eebench.ranking.drawn_figures import Draws
from eebench.ranking.draws import ScoreDraws
from eebench.ranking.skill import by_policy
from eebench.records.results import Columns, StoredResult
from eebench.study.material import Material, TaskMaterial


def score_draws(material: Material) -> dict[str, Draws]:
    """EE-scores by layers of policies over the model's tasks, best first: of the sample and of each draw of documents.

    Two models on the same documents are drawn alike, so that the difference of their draws is a paired one.
    """
    policies = by_policy(material.stored)
    draws = ScoreDraws(policies, _Rows(material.tasks))
    found = {policy: draws.scores(policy, "layers") for policy in policies}
    return dict(sorted(((p, own) for p, own in found.items() if own is not None), key=lambda pair: -pair[1][0]))


@dataclass(frozen=True)
class _Rows:
    """The rows of documents of a study, where the ranking looks for those of a database."""

    tasks: Sequence[TaskMaterial]

    def of_results(self, results: Sequence[StoredResult]) -> Mapping[int, Columns]:
        return {stored.result_id: stored.result.documents for stored in results}

    def of_evaluation(self, evaluation_id: int) -> Columns:
        return self.tasks[evaluation_id].evaluation.documents
