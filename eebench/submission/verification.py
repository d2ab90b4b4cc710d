"""A bundle checked: every figure from its rows, every row from the trace where it is at hand, and what it claims to be.

Each setting of each evaluation is an entry, and each entry is one of three: `verified` (its decisions were made again
on the trace it was made from, and every number of every document is the same), `consistent` (its figures follow from
its rows, and nothing contradicts them), or `REFUSED`, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from eebench.errors import EEBenchError
from eebench.plugins.modules import not_theirs, one_line
from eebench.policy import ExitPolicy
from eebench.published.kept_traces import KeptTrace
from eebench.published.replaying import LeavesTree
from eebench.quality import follows
from eebench.records.results import Result
from eebench.statistics import fingerprint
from eebench.submission.accepted import Accepted
from eebench.submission.bundles import Bundle, Measured
from eebench.submission.consistency import settings_twice, wrong_kind_of_task, wrong_with_evaluation, wrong_with_result
from eebench.submission.ground import Ground
from eebench.submission.policy_checks import builtin_setting, other_source, wrong_with_foresight, wrong_with_policy
from eebench.submission.replay_checks import ByTrace, settings_by_name, trace_of

Status = Literal["verified", "consistent", "REFUSED"]


@dataclass(frozen=True)
class Refusal:
    """What is wrong with a bundle, or with an evaluation (`where`), or with a setting on it."""

    where: str
    setting: str
    why: str


@dataclass(frozen=True)
class Entry:
    """A setting on an evaluation, and what was found; `because` says why it is not more than that."""

    where: str
    policy: str
    setting: str
    status: Status
    because: str = ""


@dataclass
class Report:
    """What was found of a bundle."""

    name: str
    entries: list[Entry] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether anything in it was refused."""
        return bool(self.refusals)

    def refuse(self, whys: Iterable[str], where: str = "", setting: str = "") -> bool:
        """Take note of what is wrong, and return whether anything is."""
        found = [Refusal(where, setting, why) for why in whys]
        self.refusals += found
        return bool(found)

    def note(self, text: str) -> None:
        """Take note of something that is worth saying, once."""
        if text and text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True)
class Beside:
    """What a bundle is checked beside.

    Attributes:
        traces: those at hand.
        accepted: what a leaderboard has accepted.
        classes: policies of the bundle that may be run, by hash and name.
        statistics: fingerprints of the statistics that a trace may be made of.
        broken: of policies that were to be run and could not be, why.
    """

    traces: Sequence[KeptTrace] = ()
    accepted: Accepted = field(default_factory=Accepted)
    classes: Mapping[str, type[ExitPolicy]] = field(default_factory=dict)
    statistics: Sequence[str] = field(default_factory=lambda: [fingerprint()])
    broken: Mapping[str, str] = field(default_factory=dict)


def verify(bundle: Bundle, beside: Beside) -> Report:
    """Check a bundle; none of its code is run but that of `beside.classes`."""
    report = Report(bundle.name)
    report.refuse(bundle.altered)
    for measured in bundle.evaluations:
        _Checks(report, bundle, measured, beside).run()
    return report


class _Checks:
    """The checks of one evaluation of a bundle."""

    def __init__(self, report: Report, bundle: Bundle, measured: Measured, beside: Beside) -> None:
        self._report, self._bundle, self._measured, self._beside = report, bundle, measured, beside
        self._ground = Ground(measured)
        self._where = str(measured)

    def run(self) -> None:
        """Check it and all its entries."""
        if self._report.refuse(self._wrong_evaluation(), self._where):
            self._refuse_all()
            return
        self._say()
        by_trace, because = self._by_trace()
        if by_trace and self._report.refuse(by_trace.wrong_with_evaluation(), self._where):
            self._refuse_all()
            return
        for result in self._measured.results:
            self._check(result, by_trace, because)

    def _wrong_evaluation(self) -> Iterator[str]:
        yield from wrong_with_evaluation(self._ground)
        yield from wrong_kind_of_task(self._ground)
        yield from self._beside.accepted.wrong_with_evaluation(self._measured)
        for result, why in settings_twice(self._measured.results):
            yield f"{result.setting}: {why}"

    def _refuse_all(self) -> None:
        self._report.entries += [self._entry(result, "REFUSED") for result in self._measured.results]

    def _say(self) -> None:
        evaluation = self._measured.evaluation
        if not follows(evaluation.metric):
            self._report.note(f"{self._where}: {evaluation.metric} does not follow from rows, and was not made again.")

    def _by_trace(self) -> tuple[ByTrace | None, str]:
        """The checks by a trace, or why there are none."""
        evaluation = self._measured.evaluation
        if evaluation.kv_mode != "full":
            return None, f"KV mode {evaluation.kv_mode} is executed, and a trace tells of full alone"
        try:
            found = trace_of(evaluation, self._beside.traces, self._beside.statistics)
            by_trace = ByTrace(self._measured, found, self._beside.classes) if found else None
            return by_trace, "" if by_trace else "its trace is not at hand"
        except EEBenchError as error:
            return None, f"its trace could not be read: {error.message.rstrip('.')}"
        except LeavesTree:
            return None, "the trace at hand does not hold even the full model's answers"

    def _check(self, result: Result, by_trace: ByTrace | None, because: str) -> None:
        broken = self._beside.broken.get(f"{result.policy_hash}:{result.policy}")
        wrong_in_itself = list(self._wrong_result(result)) or ([broken] if broken else [])
        if self._report.refuse(wrong_in_itself, self._where, result.setting):
            self._report.entries.append(self._entry(result, "REFUSED"))
            return
        self._report.note(f"{text}." if (text := other_source(result)) else "")
        if by_trace is None:
            self._report.entries.append(self._entry(result, "consistent", because))
            return
        wrong, because = self._replayed(result, by_trace)
        if self._report.refuse(wrong, self._where, result.setting):
            self._report.entries.append(self._entry(result, "REFUSED"))
        else:
            self._report.entries.append(self._entry(result, "consistent" if because else "verified", because))

    def _wrong_result(self, result: Result) -> Iterator[str]:
        evaluation = self._measured.evaluation
        found = list(wrong_with_policy(result, evaluation.num_layers, self._bundle.sources))
        found += wrong_with_result(self._ground, result)
        yield from found or wrong_with_foresight(self._ground, result)
        if duplicate := self._beside.accepted.duplicate(self._measured, result):
            yield duplicate

    def _replayed(self, result: Result, by_trace: ByTrace) -> tuple[list[str], str]:
        """What a replay finds wrong, and why it proves nothing where it does not."""
        try:
            setting = builtin_setting(result) if result.builtin else settings_by_name(self._beside.classes, result)
            if setting is None:
                return [], "its code was not run: --run-policies runs it"
            wrong = list(by_trace.wrong_with_result(result, setting))
        except LeavesTree:
            return [], "it leaves what the trace at hand holds"
        except BaseException as error:  # a contributor's code may raise anything
            not_theirs(error)
            if result.builtin and not isinstance(error, EEBenchError | ValueError):
                raise  # no contributor's code was run
            said = error.message.rstrip(".") if isinstance(error, EEBenchError) else one_line(error)
            return [f"it could not be replayed: {said}"], ""
        return wrong, "" if by_trace.own else "the trace at hand was made on another machine"

    def _entry(self, result: Result, status: Status, because: str = "") -> Entry:
        return Entry(self._where, result.policy, result.setting, status, because)
