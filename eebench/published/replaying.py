"""Settings scored on a published trace, without the model, its weights, or the task: in seconds, on any machine.

Layers saved, compute saved and fidelity follow from what the layers said. Quality does not, since that is the task's to
judge, and it is left open.

    from eebench.published.replaying import DocumentRows, replay_published
    from eebench.ranking.rank import rank

    results = replay_published("traces/", ["./my_policy.py", "all"])
    board = rank(results, documents=DocumentRows(results))
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from eebench.errors import EEBenchError
from eebench.fitting import fitted_settings
from eebench.generation.answers import Answerer, Answers, LikelihoodAnswers, TreeAnswers
from eebench.plugins.registry import find_policy
from eebench.policy import ExitPolicy
from eebench.progress import Progress, Silent
from eebench.published.foresight import Foresight, is_suspect, key_of
from eebench.published.kept_traces import KeptTrace, published_in
from eebench.records.results import Columns, Evaluation, MetricValue, Result, StoredResult, columns
from eebench.replaying import raised
from eebench.scoring import Scorer
from eebench.spec import PolicySpec, parse_policies
from eebench.traces.trees import Tree, Walk

if TYPE_CHECKING:
    from eebench.metrics import TaskScorer

NOT_MEASURED = "quality was not measured, since a trace alone does not say what the task makes of an answer."


class LeavesTree(Exception):
    """A setting goes where nobody has decoded, so that only the model can tell what it would answer."""


def replay_published(folder: str | Path, specs: Sequence[str], progress: Progress | None = None) -> list[StoredResult]:
    """Score settings on every published trace of a likelihood task in a folder; torch and lm-eval are not imported.

    Args:
        folder: a published trace, or a folder of them.
        specs: policies in the grammar of the command line: `"entropy"`, `"./my_policy.py"`, `"all"`.

    Raises:
        EEBenchError: there is no trace, it is damaged, or a policy cannot be had or raised.
    """
    return replay_kept(of_likelihood_tasks(published_in(Path(folder))), parse_policies(specs), progress)


def of_likelihood_tasks(traces: Sequence[KeptTrace]) -> list[KeptTrace]:
    """Those whose positions are the same for every setting, so that every setting can be replayed.

    Raises:
        EEBenchError: there is none.
    """
    likelihood = [kept for kept in traces if not kept.manifest.generates]
    if not likelihood:
        raise EEBenchError(
            "only traces of generation tasks are here, and a setting may go where they do not tell: name a trace of a "
            "likelihood task."
        )
    return likelihood


def replay_kept(
    traces: Sequence[KeptTrace], specs: Sequence[PolicySpec], progress: Progress | None = None
) -> list[StoredResult]:
    """Score settings on traces of likelihood tasks; none that is not built in may have foresight.

    Raises:
        EEBenchError: as `replay_published`, or a policy has foresight.
    """
    results: list[StoredResult] = []
    for number, kept in enumerate(traces):
        replayable = Replayable(kept)
        settings = fitted_settings(specs, replayable.scorer.answerer.full_trace, progress)
        with (progress or Silent()).stage(f"Replaying {len(settings)} settings on {kept}", len(settings)) as advance:
            foresight = Foresight(settings, replayable.scorer.answerer.full_trace)
            for setting in settings:
                made, answers = replayable.score(setting)
                if answers and (wrong := foresight.wrong_with(setting, answers)):
                    raise EEBenchError(f"{wrong}.")
                results.append(StoredResult(0, number, len(results), "", replayable.evaluation, made))
                advance(1)
    return results


@dataclass(frozen=True)
class Replayable:
    """A trace on disk, ready for settings to be scored on all but quality."""

    kept: KeptTrace

    @cached_property
    def scorer(self) -> Scorer:
        """Scores settings; in generation it raises `LeavesTree` where the trace does not hold their whole way."""
        shard, cost = self.kept.load(), self.kept.manifest.cost.model()
        task = cast("TaskScorer", WithoutTask())  # all that a Scorer asks of it
        if isinstance(shard, Tree):
            tree = shard
            full = tree.along(_whole_way(tree, find_policy("full")()))
            answers = TreeAnswers(lambda policy: (tree, _whole_way(tree, policy)), full, task, cost, _no_text)
            return Scorer(_Noting(answers), cost, task)
        return Scorer(_Noting(LikelihoodAnswers(shard, task, cost)), cost, task)

    def score(self, setting: ExitPolicy) -> tuple[Result, Answers | None]:
        """A setting's result, and the very answers that it was made from if the policy is not built in.

        Raises:
            EEBenchError: the policy raised.
            LeavesTree: the trace does not hold its whole way.
        """
        if not is_suspect(setting):
            return self.scorer.score(setting), None
        try:
            result = self.scorer.score(setting)
            answers = cast("_Noting", self.scorer.answerer).made.pop(key_of(setting))
        except LeavesTree:
            raise
        except BaseException as error:  # a contributor's code may raise anything
            raise raised(type(setting).name, error, "when a setting of it was scored", "file") from error
        return result, answers

    @cached_property
    def evaluation(self) -> Evaluation:
        """What all settings on it share; of quality it says that it was not measured."""
        key, about, scorer = self.kept.key, self.kept.manifest, self.scorer
        return Evaluation(
            model=about.model,
            model_id=key.model_id,
            revision=key.revision,
            dtype=key.dtype,
            num_layers=about.num_layers,
            task=key.task,
            task_version=key.task_version,
            num_fewshot=about.num_fewshot,
            chat_template=about.chat_template,
            kv_mode="full",
            documents_hash=about.documents_hash,
            metric=about.metric,
            metric_direction=about.metric_direction,
            chance=about.chance,
            informative=False,
            informative_note=NOT_MEASURED,
            n_docs=len(scorer.documents),
            n_positions=scorer.answerer.full_trace.num_positions,
            cost=about.cost.model().to_json(),
            coin_end=scorer.coin_end(),
            documents=columns(prompt_hash=about.prompt_hashes, **scorer.document_columns()),
        )


class _Noting:
    """Answers as another makes them, with a note of those of policies that are not built in.

    Attributes:
        made: what was answered last, by setting.
    """

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self.full_trace, self.generates = answerer.full_trace, answerer.generates
        self.made: dict[str, Answers] = {}

    def answers(self, policy: ExitPolicy) -> Answers:
        answers = self._answerer.answers(policy)
        if is_suspect(policy):
            self.made[key_of(policy)] = answers
        return answers


def _whole_way(tree: Tree, policy: ExitPolicy) -> Walk:
    walk = tree.walk(policy)
    if walk.leaves:
        raise LeavesTree(policy.setting())
    return walk


def _no_text(_request: int, _tokens: tuple[int, ...]) -> str:
    return ""


class WithoutTask:
    """Stands where a task would score answers, and says nothing of any."""

    main = ("", "")

    def responses(self, _logprobs: Sequence[float], _greedy: Sequence[bool]) -> list[list[Any]]:
        return []

    def grouped(self, _flat: Sequence[Any]) -> list[list[Any]]:
        return []

    def score(self, _responses: Sequence[Any]) -> Mapping[Any, list[Any]]:
        return defaultdict(list)

    def value(self, _key: Any, _items: Sequence[Any]) -> MetricValue:
        return MetricValue(None, None)

    def main_value(self, _items: Sequence[Any]) -> None:
        return None

    def documents_in(self, _responses: Sequence[Any], _chosen: Sequence[int]) -> list[Any]:
        return []

    def retention(self, _quality: float | None, _full: float | None) -> None:
        return None


class DocumentRows:
    """The per-document rows of results that are in memory: what a ranking draws its intervals from."""

    def __init__(self, results: Iterable[StoredResult]) -> None:
        self._evaluations = {stored.evaluation_id: stored.evaluation.documents for stored in results}

    def of_results(self, results: Sequence[StoredResult]) -> dict[int, Columns]:
        """The rows of results, by their ids."""
        return {stored.result_id: stored.result.documents for stored in results}

    def of_evaluation(self, evaluation_id: int) -> Columns:
        """The rows of an evaluation."""
        return self._evaluations[evaluation_id]
