"""A run's page: enough to repeat it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eebench.records.results import StoredResult
from eebench.records.store import Run
from eebench.site.material import Material
from eebench.site.slugs import model_page, task_page
from eebench.site.tables import Header, Row, Table, number, words
from eebench.site.times import timing_table


def run_context(run: Run, material: Material) -> dict[str, Any]:
    """What the page of a run says."""
    results = material.of_run(run.id)
    timings = [stored for stored in material.timings if stored.run_id == run.id]
    return {
        "run": run,
        "facts": [*_facts(run), *_checked(run, results, material)],
        "shown": len(results),
        "results": _results(run, results) if results else None,
        "timings": timing_table(timings) if timings else None,
    }


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    came = run.provenance
    yield "ended", run.status
    yield "started", run.started
    yield "finished", run.finished or "not yet"
    yield "device", f"{came.device}: {came.device_name}"
    yield "seed", str(came.seed)
    yield "commit", _commit(came.git_commit, came.git_dirty)
    yield "versions", ", ".join(f"{name} {version}" for name, version in sorted(came.versions.items()))


def _checked(run: Run, results: Sequence[StoredResult], material: Material) -> Iterator[tuple[str, str]]:
    """Which bundle of a leaderboard it came in, and what of it was verified by a trace."""
    if material.checks:
        yield "bundle", material.checks.bundles[run.id]
        yield "checked", material.checks.proof(results)


def _commit(commit: str | None, dirty: bool | None) -> str:
    if commit is None:
        return "not from a checkout"
    return f"{commit}, with changes that were not committed" if dirty else commit


def _results(run: Run, results: Sequence[StoredResult]) -> Table:
    """What was measured on each model and task; the figures are on the pages of policies."""
    headers = (
        Header("model"),
        Header("task"),
        Header("KV mode"),
        Header("dtype"),
        Header("documents", numeric=True),
        Header("policies", numeric=True),
        Header("settings", numeric=True),
    )
    grouped: dict[tuple[str, str, str], list[StoredResult]] = {}
    for stored in results:
        evaluation = stored.evaluation
        grouped.setdefault((evaluation.model, evaluation.task, evaluation.kv_mode), []).append(stored)
    rows = []
    for (model, task, kv_mode), some in sorted(grouped.items()):
        policies = len({stored.result.policy for stored in some})
        cells = (
            words(model, href=model_page(model)),
            words(task, href=task_page(task)),
            words(kv_mode),
            words(some[0].evaluation.dtype),
            number(some[0].evaluation.n_docs, str(some[0].evaluation.n_docs)),
            number(policies, str(policies)),
            number(len(some), str(len(some))),
        )
        rows.append(Row(cells))
    return Table("results", f"What is shown here of run {run.id}", headers, rows, named=1)
