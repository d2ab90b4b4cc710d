"""What a site is made from: the newest results under every KV mode, and the runs they came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from eebench.errors import EEBenchError
from eebench.plots.figures import Pair, agreement
from eebench.records.comparable import sentences
from eebench.records.results import KV_MODES, Columns, Evaluation, KvMode, StoredResult, StoredTiming
from eebench.records.store import Newest, Run, Store
from eebench.reports.by_kv_mode import by_setting
from eebench.submission.checks import Checks


class KeptDocuments:
    """The per-document rows of results, each read once for all boards."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, Columns] = {}

    def of_results(self, results: Sequence[StoredResult]) -> Mapping[int, Columns]:
        """The rows of results, by their ids."""
        missing = [stored for stored in results if stored.result_id not in self._kept]
        if missing:
            self._kept |= self._store.of_results(missing)
        return {stored.result_id: self._kept[stored.result_id] for stored in results}

    def of_evaluation(self, evaluation_id: int) -> Columns:
        """The rows of an evaluation."""
        return self._store.of_evaluation(evaluation_id)


@dataclass(frozen=True)
class Material:
    """All that the pages say.

    Attributes:
        newest: the newest comparable results under each KV mode that was measured.
        runs: the runs these came from, by id.
        agreement: per KV mode and (model, task), the share of positions at which each layer agrees with the full model.
        documents: the per-document rows, for intervals.
        by_mode: results of settings that were measured under more than one KV mode on the same documents; some may be
            older than the newest.
        checks: what was found of the bundles that results came in, where they are a leaderboard's.
    """

    newest: Mapping[KvMode, Newest]
    timings: Sequence[StoredTiming]
    runs: Mapping[int, Run]
    agreement: Mapping[KvMode, Mapping[Pair, Sequence[float]]]
    documents: KeptDocuments
    by_mode: Sequence[StoredResult]
    checks: Checks | None = None

    @property
    def kv_modes(self) -> list[KvMode]:
        """The KV modes there are results under, `full` first."""
        return list(self.newest)

    @property
    def results(self) -> list[StoredResult]:
        """All results, of all KV modes."""
        return [stored for newest in self.newest.values() for stored in newest.results]

    def of_run(self, run_id: int) -> list[StoredResult]:
        """The results of a run that any page shows."""
        shown = {stored.result_id: stored for stored in (*self.results, *self.by_mode) if stored.run_id == run_id}
        return list(shown.values())

    @property
    def models(self) -> list[str]:
        """All models, by name."""
        return sorted({stored.evaluation.model for stored in self.results})

    @property
    def tasks(self) -> list[str]:
        """All tasks, by name."""
        return sorted({stored.evaluation.task for stored in self.results})

    def evaluations(self) -> dict[tuple[KvMode, str, str], Evaluation]:
        """What was evaluated, as it was last: KV mode, model and task -> evaluation."""
        newest = sorted(self.results, key=lambda stored: stored.evaluation_id)
        found = {(s.evaluation.kv_mode, s.evaluation.model, s.evaluation.task): s.evaluation for s in newest}
        return {key: found[key] for key in sorted(found, key=lambda key: (KV_MODES.index(key[0]), *key[1:]))}

    def left_out(self, kv_mode: KvMode, model: str, task: str) -> list[str]:
        """Sentences on what is left out of a view; an empty name stands for all models or tasks."""
        some = [
            one
            for one in self.newest[kv_mode].left_out
            if one.model in (model, one.model if not model else "") and one.task in (task, one.task if not task else "")
        ]
        return sentences(some)


def gather(store: Store, models: Collection[str], tasks: Collection[str], checks: Checks | None = None) -> Material:
    """Read what a site of these models and tasks shows; of all when none is named.

    Args:
        checks: what was found of the bundles that the results came in.

    Raises:
        EEBenchError: there is nothing to show.
    """
    newest = {one.results[0].evaluation.kv_mode: one for one in _newest(store, models, tasks)}
    timings = [
        stored
        for stored in store.newest_timings(models).timings
        if (not tasks or stored.timing.task in tasks)
        and any(stored.timing.model in _models(n) for n in newest.values())
    ]
    by_mode = _by_mode(store, models, tasks) if len(newest) > 1 else []
    results = [*by_mode, *(stored for one in newest.values() for stored in one.results)]
    shown = {stored.run_id for stored in results} | {timed.run_id for timed in timings}
    return Material(
        newest={mode: newest[mode] for mode in KV_MODES if mode in newest},
        timings=timings,
        runs={run.id: run for run in sorted(store.runs(), key=lambda run: run.id) if run.id in shown},
        agreement={mode: agreement(store, one.results) for mode, one in newest.items()},
        documents=KeptDocuments(store),
        by_mode=by_mode,
        checks=checks,
    )


def _newest(store: Store, models: Collection[str], tasks: Collection[str]) -> Iterator[Newest]:
    """The newest results under each KV mode: any that has some names the others."""
    refused: EEBenchError | None = None
    for kv_mode in KV_MODES:
        try:
            first = store.newest(models, tasks, kv_mode)
        except EEBenchError as error:
            refused = refused or error
            continue
        yield first
        yield from (store.newest(models, tasks, other) for other in KV_MODES if other in first.other_modes)
        return
    if refused:
        raise refused


def _by_mode(store: Store, models: Collection[str], tasks: Collection[str]) -> list[StoredResult]:
    """Results that can be held against another KV mode; none where the modes share no documents or no setting."""
    try:
        found = store.newest_by_mode(models, tasks)
    except EEBenchError:
        return []
    return [stored for of_setting in by_setting(found) for stored in of_setting]


def _models(newest: Newest) -> set[str]:
    return {stored.evaluation.model for stored in newest.results}
