"""What a trace at hand says of the entries of a bundle: decisions made again, every number of every document compared.

Where a document's trace is the very one that it was measured on, its numbers must be the same bit by bit. A trace of
another machine differs by rounding, so that a few positions may be decided otherwise, and no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.fitting import fit_all
from eebench.generation.answers import Answers, tokens_of
from eebench.policy import Bools, ExitPolicy
from eebench.published.foresight import Foresight
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

MADE_ELSEWHERE = 0.01
"""Share of positions that may be decided otherwise on a trace that was made on another machine, by rounding; at least
one may."""

HALF_PRECISION = ("bfloat16", "float16")
COARSER = 5
"""How many times as many may where a model computes in half precision."""

GENERATED_ELSEWHERE = 0.05
"""How far savings and fidelity of generation may lie from those on such a trace, and a document besides: from the
position on that was decided otherwise, an answer is another."""

SAME_SUM = 1e-9
"""What the order of summation may change, relative to a sum."""

NOT_EXPLAINED = "on the trace at hand: that it was made on another machine does not explain so much"

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
    return max(found, key=lambda one: int(made_from(evaluation, one).sum()), default=None)


def made_from(evaluation: Evaluation, replayable: Replayable) -> Bools:
    """Which documents were measured on this very trace, as the evaluation says. [documents]"""
    said: list[str] = evaluation.documents["trace_hash"].tolist()
    there = replayable.scorer.answerer.full_trace.document_hashes()
    if len(said) != len(there):
        return np.zeros(len(there), dtype=bool)
    return np.array([one == other for one, other in zip(said, there, strict=True)], dtype=bool)


class ByTrace:
    """The checks of one evaluation by its trace.

    Attributes:
        own: whether it is the trace that the evaluation was made from, in every document.
    """

    def __init__(
        self, measured: Measured, replayable: Replayable, classes: Mapping[str, type[ExitPolicy]] | None = None
    ) -> None:
        """
        Args:
            classes: the policies that may be run and are not built in, by `hash:name`.
        """
        self._measured, self._replayable, self._classes = measured, replayable, classes or {}
        self._own = made_from(measured.evaluation, replayable)
        self.own = bool(self._own.all())
        self._quality_of: dict[tuple[int, bytes], bytes] = {}
        self._foresight: dict[str, Foresight] = {}

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
        expected: dict[str, Any] = {
            "id": np.array([document.id for document in scorer.documents]),
            "hash": np.array([document.hash for document in scorer.documents]),
            "n_positions": scorer.positions_per_document,
            "layer_agrees": scorer.layer_agreement(),
        }
        for name, values in expected.items():
            if not np.array_equal(np.asarray(said.documents[name])[self._own], values[self._own]):
                yield f"{name} of its documents is another than in the trace it was made from"
                return
        yield from self._wrong_coin(said.documents)
        if not (self.own or self._generates):
            yield from self._far_off_documents(said.documents, expected)

    def _far_off_documents(self, said: Columns, expected: Mapping[str, Any]) -> Iterator[str]:
        """What is said of documents that were measured on another machine's trace, where it cannot be so."""
        if not np.array_equal(said["n_positions"], expected["n_positions"]):
            yield "n_positions of its documents is another than in the trace at hand"
            return
        moved = np.abs(said["layer_agrees"] - expected["layer_agrees"])[~self._own].sum(axis=0)  # [layers]
        if moved.max() > self._may_differ:
            yield (
                f"how often layers agree with the full model differs at {moved.max()} positions from how often they do "
                f"{NOT_EXPLAINED}"
            )

    def _wrong_coin(self, documents: Columns) -> Iterator[str]:
        coin = {name.removeprefix(COIN): values for name, values in documents.items() if name.startswith(COIN)}
        try:
            expected = self._replayable.scorer.coin_end_columns()
        except LeavesTree:
            return
        of_trace = {name.removeprefix(COIN): values for name, values in expected.items()}
        if wrong := _differing(coin, of_trace, documents, self._own):
            yield f"the end of the no-skill line: {wrong} is another than replayed from the trace"
        yield from (f"the end of the no-skill line: {why}" for why in self._far_off(coin, of_trace))

    def wrong_with_result(self, result: Result, setting: ExitPolicy) -> Iterator[str]:
        """What a setting decides on the trace, and its rows say otherwise.

        Raises:
            EEBenchError: the policy raised.
            LeavesTree: the trace does not hold its whole way.
        """
        foresight = self._foresight_of(setting, f"{result.policy_hash}:{result.policy}")
        replayed, scored = self._replayable.score(setting)
        answers = scored or self._replayable.scorer.answerer.answers(setting)
        wrong = _differing(result.documents, replayed.documents, self._measured.evaluation.documents, self._own)
        if wrong:
            yield f"{wrong} is another than replayed from the trace"
        elif self.own and not _same_counts(result, replayed):
            yield "its exit histogram or layer selection is another than replayed from the trace"
        elif far := list(self._far_off_result(result, replayed)):
            yield from far
        else:
            yield from self._wrong_quality(result, answers)
            yield from self._wrong_learning(setting, answers)
        if seen := foresight.wrong_with(setting, answers):
            yield seen

    def _foresight_of(self, setting: ExitPolicy, policy: str) -> Foresight:
        """What settings of the same policy decide on other traces, which has to be known before any is scored."""
        if policy not in self._foresight:
            results = (r for r in self._measured.results if f"{r.policy_hash}:{r.policy}" == policy)
            settings = [made for r in results if (made := settings_by_name(self._classes, r)) is not None]
            trace = None if self._generates else self._replayable.scorer.answerer.full_trace
            self._foresight[policy] = Foresight(settings or [setting], trace)
        return self._foresight[policy]

    @property
    def _generates(self) -> bool:
        return self._replayable.kept.manifest.generates

    @cached_property
    def _may_differ(self) -> int:
        """At how many positions of the documents of another machine's trace rounding may decide otherwise."""
        positions = int(self._replayable.scorer.positions_per_document[~self._own].sum())
        share = MADE_ELSEWHERE * (COARSER if self._measured.evaluation.dtype in HALF_PRECISION else 1)
        return max(1, int(share * positions)) if positions else 0

    def _far_off_result(self, result: Result, replayed: Result) -> Iterator[str]:
        yield from self._far_off(result.documents, replayed.documents)
        if self.own or self._generates:
            return
        said, expected = np.array(result.exit_histogram), np.array(replayed.exit_histogram)
        shares = [abs(result.selection.get(name, 0) - expected) for name, expected in replayed.selection.items()]
        moved = max(int(np.abs(said - expected).sum()) // 2, round(max(shares, default=0) * int(expected.sum())))
        if moved > self._may_differ:
            yield f"its exit histogram or layer selection differs at {moved} positions from that {NOT_EXPLAINED}"

    def _far_off(self, said: Columns, replayed: Columns) -> Iterator[str]:
        """What rows of documents that were measured on another machine's trace say, and rounding does not explain."""
        if self.own:
            return
        rows = {name: np.asarray(values)[~self._own] for name, values in said.items()}
        expected = {name: np.asarray(values)[~self._own] for name, values in replayed.items()}
        if self._generates:
            yield from _far_off_generated(rows, expected, self._replayable.scorer.answerer.full_trace.num_layers)
            return
        for name in ("n_positions", "flops_full"):
            if not np.allclose(rows[name], expected[name], rtol=SAME_SUM, atol=0):
                yield f"{name} is another than {NOT_EXPLAINED}"
                return
        for name, most in self._most_per_position.items():
            changes = np.abs(rows[name] - expected[name])
            moved = int(np.ceil((changes - SAME_SUM * np.abs(expected[name])).clip(min=0) / most).sum())
            if moved > self._may_differ:
                yield f"{name} differs at {moved} positions or more from what is replayed {NOT_EXPLAINED}"
                return

    @cached_property
    def _most_per_position(self) -> Mapping[str, float]:
        """Column -> how far a position that is decided otherwise can change it."""
        trace = self._replayable.scorer.answerer.full_trace
        layers = np.full(trace.num_positions, trace.num_layers)
        flops = self._replayable.scorer.cost.flops(layers, layers, trace.context)
        most = max(1, trace.num_layers - 1)
        return {"exit_layers": most, "lens_reads": most, "agrees": 1, "flops": float(flops.max())}

    def _wrong_quality(self, result: Result, answers: Answers) -> Iterator[str]:
        """What can be said of quality without the task: the same answers are as good, whichever setting gave them."""
        items = result.documents[UNSEEN]
        others = []
        for number, answer in enumerate(_answers_by_document(answers)):
            item = items[number].tobytes()
            if self._quality_of.setdefault((number, answer), item) != item:
                others.append(number)
        elsewhere = [number for number in others if not self._own[number]]
        share = max(1, int(MADE_ELSEWHERE * (~self._own).sum()))  # rounding may have told the two apart
        if len(others) > len(elsewhere) or len(elsewhere) > share:
            yield (
                f"its quality in document {self._measured.evaluation.documents['id'][others[0]]} is another than that "
                f"of a setting that answers alike"
            )
            return
        if self._measured.evaluation.metric in SUMS_OF_LOGPROBS and not self._generates:
            logprobs, _greedy = answers.trace.answers(answers.decisions.exit_layer)
            if len(logprobs) == len(items):
                yield from self._wrong_logprobs(items[:, 0], logprobs, answers.trace)

    def _wrong_logprobs(self, said: NDArray[Any], replayed: NDArray[Any], trace: Trace) -> Iterator[str]:
        if not np.array_equal(said[self._own], replayed[self._own]):
            yield "its log-likelihoods are others than in the trace"
            return
        changes = float(np.abs(said - replayed)[~self._own].sum())
        of_one_position = float(np.abs(trace.target_logprob).max())
        if changes > max(MADE_ELSEWHERE * float(np.abs(replayed[~self._own]).sum()), of_one_position):
            yield f"its log-likelihoods differ by {changes:.3g} nats from those {NOT_EXPLAINED}"

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


def _same_counts(result: Result, replayed: Result) -> bool:
    return result.exit_histogram == replayed.exit_histogram and result.selection == dict(replayed.selection)


def _differing(said: Columns, replayed: Columns, documents: Columns, own: Bools) -> str:
    """The first number of a document of its own trace that differs in any bit, as `what of which document`."""
    for name in replayed.keys() - {UNSEEN} - said.keys():
        return f"{name}, which is missing,"
    for name, expected in replayed.items():
        if name == UNSEEN:
            continue
        wrong = np.asarray(said[name]) != expected
        if name == "flops" and "kept" in replayed:  # what was executed is counted in another order
            wrong &= ~np.isclose(said[name], expected, rtol=1e-12, atol=0)
        wrong &= own
        if wrong.any():
            return f"{name} of document {documents['id'][int(np.argmax(wrong))]}"
    return ""


def _far_off_generated(rows: Columns, expected: Columns, num_layers: int) -> Iterator[str]:
    """What documents of generation say together, and another machine's rounding does not explain."""
    for name, figure in _SHARES.items():
        said, there = figure(rows, num_layers), figure(expected, num_layers)
        if abs(said - there) > GENERATED_ELSEWHERE + 1 / len(rows["n_positions"]):
            yield f"{name} is {said:.3g}, and {there:.3g} {NOT_EXPLAINED}"


_SHARES: Mapping[str, Callable[[Columns, int], float]] = {
    "layers saved": lambda rows, layers: 1 - rows["exit_layers"].sum() / rows["n_positions"].sum() / layers,
    "compute saved": lambda rows, _layers: 1 - rows["flops"].sum() / rows["flops_full"].sum(),
    "fidelity": lambda rows, _layers: rows["agrees"].sum() / rows["n_positions"].sum(),
    "what is kept": lambda rows, _layers: rows["kept"].mean() if "kept" in rows else 1.0,
}


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
