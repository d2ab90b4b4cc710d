"""What a trace at hand says of the entries of a bundle: decisions made again, every number of every document compared.

Where the bundle was made from this very trace, the numbers must be the same bit by bit. A trace that was made on
another machine differs by rounding, so that it can only say whether the figures are about right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from eebench.fitting import fit_all
from eebench.generation.answers import Answers, tokens_of
from eebench.policy import ExitPolicy
from eebench.published.kept_traces import KeptTrace
from eebench.published.replaying import LeavesTree, Replayable
from eebench.records.results import COIN, Columns, Evaluation, Result
from eebench.submission.bundles import Measured
from eebench.submission.figure_checks import same
from eebench.traces.trace import Trace

UNSEEN = "quality"
"""The column that a trace does not tell."""

LEARNED_ELSEWHERE = 0.01
"""Share of positions that what was learned may stop at other layers than what is learned here, by rounding."""

MADE_ELSEWHERE = 0.05
"""How far savings and fidelity may lie from those on a trace that was made on another machine."""

SUMS_OF_LOGPROBS = ("bits_per_byte", "byte_perplexity", "word_perplexity")
"""Metrics whose value for a document is the log-likelihood of its text."""


def trace_of(evaluation: Evaluation, traces: Sequence[KeptTrace], statistics: Collection[str]) -> Replayable | None:
    """The trace of an evaluation among those at hand, that which it was made from first.

    Args:
        statistics: fingerprints of the statistics that a trace may be made of.
    """
    wanted = (evaluation.model_id, evaluation.revision, evaluation.dtype, evaluation.task, evaluation.task_version)
    found = [
        Replayable(kept)
        for kept in traces
        if (k := kept.key) and (k.model_id, k.revision, k.dtype, k.task, k.task_version) == wanted
        if kept.key.statistics in statistics and kept.manifest.documents_hash == evaluation.documents_hash
    ]
    return next((one for one in found if is_its_own(evaluation, one)), found[0] if found else None)


def is_its_own(evaluation: Evaluation, replayable: Replayable) -> bool:
    """Whether the evaluation says that it was made from this trace."""
    said: list[str] = evaluation.documents["trace_hash"].tolist()
    return said == replayable.scorer.answerer.full_trace.document_hashes()


class ByTrace:
    """The checks of one evaluation by its trace.

    Attributes:
        own: whether it is the trace that the evaluation was made from.
    """

    def __init__(self, measured: Measured, replayable: Replayable) -> None:
        self._measured, self._replayable = measured, replayable
        self.own = is_its_own(measured.evaluation, replayable)
        self._quality_of: dict[tuple[int, bytes], bytes] = {}

    def wrong_with_evaluation(self) -> Iterator[str]:
        """What all settings share and the trace says otherwise."""
        said, scorer = self._measured.evaluation, self._replayable.scorer
        about = self._replayable.kept.manifest
        if said.cost != scorer.cost.to_json():
            yield "its cost model is another than that of the trace"
        if said.metric != about.metric:
            yield (
                f"its quality is measured in {said.metric}, and the task's own main metric is {about.metric}: run it "
                f"without --metric"
            )
        elif not same(said.chance, about.chance):
            yield f"guessing reaches {about.metric} {about.chance:.6g} there, not {said.metric} {said.chance:.6g}"
        if not self.own:
            return
        expected: dict[str, Any] = {
            "id": [document.id for document in scorer.documents],
            "hash": [document.hash for document in scorer.documents],
            "n_positions": scorer.positions_per_document,
            "layer_agrees": scorer.layer_agreement(),
        }
        for name, values in expected.items():
            if not np.array_equal(said.documents[name], values):
                yield f"{name} of its documents is another than in the trace it was made from"
                return
        yield from self._wrong_coin(said.documents)

    def _wrong_coin(self, documents: Columns) -> Iterator[str]:
        coin = {name.removeprefix(COIN): values for name, values in documents.items() if name.startswith(COIN)}
        try:
            expected = self._replayable.scorer.coin_end_columns()
        except LeavesTree:
            return
        of_trace = {name.removeprefix(COIN): values for name, values in expected.items()}
        if wrong := _differing(coin, of_trace, documents):
            yield f"the end of the no-skill line: {wrong} is another than replayed from the trace"

    def wrong_with_result(self, result: Result, setting: ExitPolicy) -> Iterator[str]:
        """What a setting decides on the trace, and its rows say otherwise.

        Raises:
            EEBenchError: the policy raised.
            LeavesTree: the trace does not hold its whole way.
        """
        replayed = self._replayable.scorer.score(setting)
        if not self.own:
            yield from _far_off(result, replayed)
            return
        wrong = _differing(result.documents, replayed.documents, self._measured.evaluation.documents)
        if wrong:
            yield f"{wrong} is another than replayed from the trace"
        elif result.exit_histogram != replayed.exit_histogram or result.selection != dict(replayed.selection):
            yield "its exit histogram or layer selection is another than replayed from the trace"
        else:
            answers = self._replayable.scorer.answerer.answers(setting)
            yield from self._wrong_quality(result, answers)
            yield from self._wrong_learning(setting, answers)

    def _wrong_quality(self, result: Result, answers: Answers) -> Iterator[str]:
        """What can be said of quality without the task: the same answers are as good, whichever setting gave them."""
        items = result.documents[UNSEEN]
        for number, answer in enumerate(_answers_by_document(answers)):
            item = items[number].tobytes()
            if self._quality_of.setdefault((number, answer), item) != item:
                yield (
                    f"its quality in document {self._measured.evaluation.documents['id'][number]} is another than that "
                    f"of a setting that answers alike"
                )
                return
        if self._measured.evaluation.metric in SUMS_OF_LOGPROBS and not self._replayable.kept.manifest.generates:
            logprobs, _greedy = answers.trace.answers(answers.decisions.exit_layer)
            if len(logprobs) == len(items) and not np.array_equal(logprobs, items[:, 0]):
                yield "its log-likelihoods are others than in the trace"

    def _wrong_learning(self, setting: ExitPolicy, answers: Answers) -> Iterator[str]:
        """Whether what it has learned was learned on the calibration documents."""
        if not setting.needs_fit:
            return
        if self._calibration is None:
            yield "it has learned something, and there are no calibration documents to learn from"
            return
        (learned,) = fit_all([setting], self._calibration)
        again = self._replayable.scorer.answerer.answers(learned).decisions.exit_layer
        exits = answers.decisions.exit_layer
        differ = float(np.mean(again != exits)) if len(again) == len(exits) else 1.0
        if differ > LEARNED_ELSEWHERE:
            yield (
                f"what it has learned is not what the calibration documents teach: learned again, it stops at other "
                f"layers at {differ:.1%} of the positions"
            )

    @cached_property
    def _calibration(self) -> Trace | None:
        full = self._replayable.scorer.answerer.full_trace
        chosen = full.in_part("calibration")
        return full.select(chosen) if chosen.any() else None


def _differing(said: Columns, replayed: Columns, documents: Columns) -> str:
    """The first number of a document that differs in any bit, as `what of which document`."""
    for name in replayed.keys() - {UNSEEN} - said.keys():
        return f"{name}, which is missing,"
    for name, expected in replayed.items():
        if name == UNSEEN:
            continue
        wrong = np.asarray(said[name]) != expected
        if name == "flops" and "kept" in replayed:  # what was executed is counted in another order
            wrong &= ~np.isclose(said[name], expected, rtol=1e-12, atol=0)
        if wrong.any():
            return f"{name} of document {documents['id'][int(np.argmax(wrong))]}"
    return ""


def _far_off(result: Result, replayed: Result) -> Iterator[str]:
    one, other = result.summaries["all"], replayed.summaries["all"]
    for name in ("layers_saved", "fidelity"):
        said, expected = getattr(one, name), getattr(other, name)
        if abs(said - expected) > MADE_ELSEWHERE:
            yield (
                f"{name.replace('_', ' ')} is {said:.3g}, and {expected:.3g} on the trace at hand: that it was made on "
                f"another machine does not explain so much"
            )


def _answers_by_document(answers: Answers) -> Iterator[bytes]:
    """All that a task is told of each document, as bytes."""
    trace = answers.trace
    if np.isnan(trace.target_logprob).all():
        per_request = [np.array(tokens, dtype=np.int64).tobytes() for tokens in tokens_of(trace)]
    else:
        logprobs, greedy = trace.answers(answers.decisions.exit_layer)
        per_request = [one.tobytes() + two.tobytes() for one, two in zip(logprobs, greedy, strict=True)]
    by_document: dict[int, list[bytes]] = {number: [] for number in range(len(trace.documents))}
    for request, answer in zip(trace.requests, per_request, strict=True):
        by_document[request.document].append(len(answer).to_bytes(8, "little") + answer)
    yield from (b"".join(by_document[number]) for number in range(len(trace.documents)))


def settings_by_name(classes: Mapping[str, type[ExitPolicy]], result: Result) -> ExitPolicy | None:
    """A setting of a policy that is not built in, where its class is at hand."""
    policy = classes.get(f"{result.policy_hash}:{result.policy}")
    return policy.model_validate(result.params) if policy else None
