"""A leaderboard's bundles as a database, which every report, comparison, plot and site can be made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from eebench.records.store import Store
from eebench.submission.bundles import Bundle
from eebench.submission.standings import is_proven, names_apart, origin


def load(bundles: Iterable[Bundle], store: Store) -> Mapping[int, str]:
    """Put bundles into a database, as the runs they came from; nothing in it is overwritten.

    Policies of one name and another source are told apart by their bundles. Evaluations of which a trace has proved
    something come last, since a database takes what came last for the newest (`eebench.submission.standings`).

    Args:
        bundles: the oldest first, as the newest of what can be compared is ranked.

    Returns:
        The runs' ids, and the bundles they came in.

    Raises:
        EEBenchError: the database cannot be written to.
    """
    every = list(bundles)
    names = names_apart(
        (bundle.name, result) for bundle in every for one in bundle.evaluations for result in one.results
    )
    runs = {store.begin_run(bundle.provenance, bundle.started): bundle for bundle in every}
    places = [(run, measured) for run, bundle in runs.items() for measured in bundle.evaluations]
    for run, measured in sorted(places, key=lambda place: is_proven(runs[place[0]], place[1])):
        evaluation = store.add_evaluation(run, measured.evaluation)
        for result in measured.results:
            rows = {name: values for name, values in result.documents.items() if name != "id"}
            named = replace(result, policy=names[result.policy, origin(result)], documents=rows)
            store.add_result(evaluation, named)
    for run, bundle in runs.items():
        store.finish_run(run, "finished", bundle.finished)
    return {run: bundle.name for run, bundle in runs.items()}
