"""A bundle beside those that a leaderboard has accepted: what is there already, and what was measured on other data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from eebench.quality import is_mean
from eebench.records.results import Evaluation, Result
from eebench.submission.bundles import Bundle, Measured
from eebench.submission.standings import origin

Key = tuple[str, ...]

SAME_MODEL = ("num_layers", "cost")
"""What is the same wherever a model is measured."""

SAME_PROMPTS = ("num_fewshot", "chat_template", "n_positions", "chance")
"""What is the same besides wherever it is measured on the same prompts."""


@dataclass
class Accepted:
    """What the accepted bundles hold.

    Attributes:
        entries: a setting's key -> the bundle that has it.
        documents: (task, version) -> number of a document -> its hash, and the bundle that says so.
        evaluations: the key of an evaluation -> the first that was accepted.
        tasks: (task, version) -> the first evaluation on it.
        models: (model's id, revision) -> the first evaluation of it.
        names: what a model is called -> the first evaluation of one that is called so.
    """

    entries: dict[Key, str] = field(default_factory=dict)
    documents: dict[Key, dict[int, tuple[str, str]]] = field(default_factory=dict)
    evaluations: dict[Key, tuple[Evaluation, str]] = field(default_factory=dict)
    tasks: dict[Key, tuple[Evaluation, str]] = field(default_factory=dict)
    models: dict[Key, tuple[Evaluation, str]] = field(default_factory=dict)
    names: dict[str, tuple[Evaluation, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, bundles: Iterable[Bundle]) -> Accepted:
        """Everything in some bundles."""
        accepted = cls()
        for bundle in bundles:
            accepted.add(bundle)
        return accepted

    def add(self, bundle: Bundle) -> None:
        """Take a bundle for accepted."""
        for measured in bundle.evaluations:
            evaluation, columns = measured.evaluation, measured.evaluation.documents
            known = self.documents.setdefault(_task(evaluation), {})
            for id, digest in zip(columns["id"].tolist(), columns["hash"].tolist(), strict=True):
                known.setdefault(id, (digest, bundle.name))
            self.evaluations.setdefault(_key(evaluation), (evaluation, bundle.name))
            self.tasks.setdefault(_task(evaluation), (evaluation, bundle.name))
            self.models.setdefault(_model(evaluation), (evaluation, bundle.name))
            self.names.setdefault(evaluation.model, (evaluation, bundle.name))
            for result in measured.results:
                self.entries.setdefault(_entry(evaluation, result), bundle.name)

    # --- what is wrong beside them -------------------------------------------------------------------------------

    def wrong_with_evaluation(self, measured: Measured) -> Iterator[str]:
        """Other data than accepted entries of the same task have, in sentences."""
        evaluation, columns = measured.evaluation, measured.evaluation.documents
        known = self.documents.get(_task(evaluation), {})
        for id, digest in zip(columns["id"].tolist(), columns["hash"].tolist(), strict=True):
            if id in known and known[id][0] != digest:
                yield (
                    f"it was measured on other data: document {id} of {evaluation.task} (version "
                    f"{evaluation.task_version}) is another one in {known[id][1]}, which is accepted"
                )
                break
        yield from self._wrong_task(evaluation)
        yield from self._wrong_model(evaluation)
        yield from self._wrong_prompts(measured)

    def _wrong_task(self, evaluation: Evaluation) -> Iterator[str]:
        if _task(evaluation) not in self.tasks:
            return
        other, name = self.tasks[_task(evaluation)]
        if evaluation.metric != other.metric or evaluation.metric_direction != other.metric_direction:
            yield f"its quality is {evaluation.metric}, and in {name}, which is accepted, it is {other.metric}"
        elif _contents(evaluation) == _contents(other) and is_mean(other.metric) and evaluation.chance != other.chance:
            yield (
                f"guessing is said to reach {evaluation.chance:.6g}, and in {name}, which is accepted, "
                f"{other.chance:.6g}"
            )

    def _wrong_model(self, evaluation: Evaluation) -> Iterator[str]:
        if evaluation.model in self.names:
            other, name = self.names[evaluation.model]
            if evaluation.model_id != other.model_id:
                yield (
                    f"{evaluation.model} is {evaluation.model_id} here and {other.model_id} in {name}, which is "
                    f"accepted: measure it under a name of its own"
                )
        if _model(evaluation) in self.models:
            other, name = self.models[_model(evaluation)]
            for what in SAME_MODEL:
                if getattr(evaluation, what) != getattr(other, what):
                    yield f"its {what} is another than in {name}, which is accepted and of the same model"

    def _wrong_prompts(self, measured: Measured) -> Iterator[str]:
        evaluation = measured.evaluation
        if _key(evaluation) not in self.evaluations:
            return
        other, name = self.evaluations[_key(evaluation)]
        own_positions = any("kept" in result.documents for result in measured.results)
        for what in SAME_PROMPTS:
            if what == "n_positions" and own_positions:
                continue  # the model's answers may differ by rounding
            if getattr(evaluation, what) != getattr(other, what):
                yield f"its {what} is another than in {name}, which is accepted and of the same model and prompts"

    def duplicate(self, measured: Measured, result: Result) -> str:
        """Which accepted bundle has the same setting of a policy; controls and bounds may come with every bundle."""
        if result.kind != "policy":
            return ""
        name = self.entries.get(_entry(measured.evaluation, result))
        return f"it is on the leaderboard already, in {name}; export the others alone, by -p" if name else ""


def _task(evaluation: Evaluation) -> Key:
    return (evaluation.task, evaluation.task_version)


def _key(evaluation: Evaluation) -> Key:
    one = evaluation
    return (one.model_id, one.revision, one.dtype, one.task, one.task_version, one.documents_hash, one.kv_mode)


def _model(evaluation: Evaluation) -> Key:
    return (evaluation.model_id, evaluation.revision)


def _entry(evaluation: Evaluation, result: Result) -> Key:
    return (*_key(evaluation), result.setting, origin(result))


def _contents(evaluation: Evaluation) -> set[str]:
    """Its documents, by content."""
    return set(evaluation.documents["hash"].tolist())
