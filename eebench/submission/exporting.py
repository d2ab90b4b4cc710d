"""The bundle of a run: its results from the database, and the sources of its policies from where they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from eebench.errors import EEBenchError
from eebench.plugins.sources import find_sources
from eebench.ranking.picking import decisive
from eebench.records.results import COIN, StoredResult
from eebench.records.store import Run, Store
from eebench.submission.bundles import Bundle, Measured, only

NEEDED = {"prompt_hash", "trace_hash", f"{COIN}flops"}
"""Columns of an evaluation's documents that a bundle cannot do without."""


def choose_run(store: Store, number: int | None) -> Run:
    """A run by its number, or the newest finished one that has results.

    Raises:
        EEBenchError: there is none, it has no results, or it was not finished.
    """
    runs = store.runs()
    if number is None:
        found = next((run for run in runs if run.status == "finished" and run.n_results), None)
        if found is None:
            raise EEBenchError("there is no finished run with results yet: `eebench run` makes one.")
        return found
    found = next((run for run in runs if run.id == number), None)
    if found is None:
        known = ", ".join(str(run.id) for run in runs[:8]) or "none"
        raise EEBenchError(f"there is no run {number}: the newest are {known}.")
    if found.status != "finished":
        raise EEBenchError(
            f"run {number} is {found.status}: finish it first, by the same command, and export that run."
        )
    if not found.n_results:
        raise EEBenchError(f"run {number} has no results: it was no `eebench run`.")
    return found


def bundle_of(
    store: Store,
    run: Run,
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    policies: Sequence[str] = (),
    sources: Sequence[Path] = (),
    best: bool = False,
) -> Bundle:
    """The results of a run, or those of some models, tasks and policies.

    Args:
        best: only the settings that the ranking rests on (`eebench.ranking.picking.decisive`).
        sources: files in which to look for the policies' sources before all other places.

    Raises:
        EEBenchError: there is nothing of a name, or the source of a policy is not to be had as it was measured.
    """
    whole = Bundle(run.started, run.finished or run.started, run.provenance, tuple(_measured(store, run)), {})
    bundle = only(whole, models, tasks, policies)
    if best:
        bundle = replace(bundle, evaluations=tuple(_best(bundle.evaluations)))
    own = [result for measured in bundle.evaluations for result in measured.results if not result.builtin]
    wanted = {result.policy_hash: result.policy for result in own}
    return replace(bundle, sources=find_sources(wanted, run.provenance.command, sources))


def _measured(store: Store, run: Run) -> list[Measured]:
    found: dict[int, Measured] = {}
    for stored in store.of_run(run.id):
        if stored.evaluation_id not in found:
            shared = replace(stored.evaluation, documents=store.evaluation_documents(stored.evaluation_id))
            if NEEDED - shared.documents.keys():
                raise EEBenchError(
                    f"run {run.id} was measured by an older EEBench, which kept too little of each document to check "
                    f"it by: measure it again by the same command, which takes seconds where the traces are there."
                )
            found[stored.evaluation_id] = Measured(shared, ())
        of = found[stored.evaluation_id]
        result = replace(stored.result, documents=store.documents(stored.result_id))
        found[stored.evaluation_id] = replace(of, results=(*of.results, result))
    return list(found.values())


def _best(evaluations: Sequence[Measured]) -> Iterator[Measured]:
    """The settings that the ranking rests on, on whichever task of a model, in their order.

    They are kept on all of its tasks, so that means over tasks can be taken of each.
    """
    kept: set[tuple[str, str]] = set()
    for measured in evaluations:
        by_policy: dict[str, list[StoredResult]] = defaultdict(list)
        for result in measured.results:
            by_policy[result.policy].append(StoredResult(0, 0, 0, "", measured.evaluation, result))
        model = measured.evaluation.model
        kept |= {(model, one.result.setting) for settings in by_policy.values() for one in decisive(settings)}
    for measured in evaluations:
        model = measured.evaluation.model
        yield replace(measured, results=tuple(r for r in measured.results if (model, r.setting) in kept))
