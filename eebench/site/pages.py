"""Every page of a site: where it goes, the template it is made with, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eebench.reports.formats import decimal
from eebench.site.about_kv_modes import kv_modes_context
from eebench.site.about_model import model_context
from eebench.site.about_policy import policy_context
from eebench.site.about_run import run_context
from eebench.site.about_task import task_context
from eebench.site.boards import Boards, View
from eebench.site.material import Material
from eebench.site.plots import POINT, all_pareto_data, pareto_specs
from eebench.site.slugs import model_page, policy_page, run_page, task_page
from eebench.site.tables import Cell, Header, Row, Table, number, words


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        path: from the site's root, with /.
        part: the part of the site it belongs to, for the navigation.
    """

    path: str
    template: str
    title: str
    part: str
    context: dict[str, Any]

    @property
    def root(self) -> str:
        """The way from this page to the site's root."""
        return "../" * self.path.count("/")


def pages(material: Material) -> Iterator[Page]:
    """All pages of a site."""
    boards = Boards(material)
    specs = pareto_specs(material)
    yield Page("index.html", "index.html", "Exit policies ranked", "ranking", _index(material, boards, specs))
    policies = sorted({stored.result.policy for stored in material.results})
    yield _list("policies", "Policies", _policies(material, boards))
    yield _list("models", "Models", _models(material, boards))
    yield _list("tasks", "Tasks", _tasks(material))
    if material.by_mode:
        yield Page("kv-modes.html", "kv_modes.html", "KV modes side by side", "kv-modes", kv_modes_context(material))
    yield _list("runs", "Runs", _runs(material))
    for name in policies:
        yield Page(policy_page(name), "policy.html", name, "policies", policy_context(name, material, boards))
    for name in material.models:
        yield Page(model_page(name), "model.html", name, "models", model_context(name, material, boards, specs))
    for name in material.tasks:
        yield Page(task_page(name), "task.html", name, "tasks", task_context(name, material, boards, specs))
    for run in material.runs.values():
        yield Page(run_page(run.id), "run.html", f"Run {run.id}", "runs", run_context(run, material))


def navigation(material: Material) -> list[tuple[str, str, str]]:
    """The parts of a site, as (part, path from its root, text)."""
    return [
        ("ranking", "index.html", "Ranking"),
        ("policies", "policies.html", "Policies"),
        ("models", "models.html", "Models"),
        ("tasks", "tasks.html", "Tasks"),
        *([("kv-modes", "kv-modes.html", "KV modes")] if material.by_mode else []),
        ("runs", "runs.html", "Runs"),
    ]


def _list(part: str, title: str, table: Table) -> Page:
    return Page(f"{part}.html", "list.html", title, part, {"table": table})


# --- the ranking -------------------------------------------------------------------------------------------------


def _index(material: Material, boards: Boards, specs: dict[str, Any]) -> dict[str, Any]:
    view = _first(material, boards)
    return {
        "view": view,
        "table": view.table(),
        "kv_modes": material.kv_modes,
        "models": _options(material.models, "models"),
        "tasks": _options(material.tasks, "tasks"),
        "index": {
            "views": boards.compact(),
            "points": all_pareto_data(material),
            "columns": POINT,
            "specs": specs,
        },
    }


def _first(material: Material, boards: Boards) -> View:
    """What a reader sees first: all models and tasks."""
    view = boards.find(material.kv_modes[0])
    assert view is not None
    return view


def _options(names: Sequence[str], plural: str) -> list[tuple[str, str]]:
    """What a list to pick from holds, as (value, text)."""
    return [("", names[0])] if len(names) == 1 else [("", f"all {len(names)} {plural}"), *((n, n) for n in names)]


# --- lists -------------------------------------------------------------------------------------------------------


def _policies(material: Material, boards: Boards) -> Table:
    view = _first(material, boards)
    ranking = {row.policy: row for row in view.boards["layers"].ranking}
    unranked = {stored.result.policy for stored in material.results} - ranking.keys()
    headers = (
        Header("policy"),
        Header("kind"),
        Header("EE-score by layers", numeric=True),
        Header("settings", numeric=True),
    )
    rows = []
    for name in (*ranking, *sorted(unranked)):
        some = [stored for stored in material.results if stored.result.policy == name]
        score = ranking[name].ee_score_layers if name in ranking else None
        settings = len({stored.result.setting for stored in some})
        note = "" if all(stored.result.builtin for stored in some) else "from a file of its own"
        cells = (
            words(name, href=policy_page(name), note=note),
            words(some[0].result.kind),
            number(score, decimal(score)),
            number(settings, str(settings)),
        )
        rows.append(Row(cells, some[0].result.kind))
    return Table("policies", f"Exit policies, {view.scope}", headers, rows)


def _models(material: Material, boards: Boards) -> Table:
    headers = (
        Header("model"),
        Header("layers", numeric=True),
        Header("r = head / layer", numeric=True),
        Header("break-even layer", numeric=True),
        Header("tasks", numeric=True),
        Header("best policy"),
    )
    rows = []
    for name in material.models:
        some = [e for (_mode, model, _task), e in material.evaluations().items() if model == name]
        cost, tasks = some[-1].cost, len({evaluation.task for evaluation in some})
        cells = (
            words(name, href=model_page(name)),
            number(some[-1].num_layers, str(some[-1].num_layers)),
            number(cost["head_to_layer"], f"{cost['head_to_layer']:.2g}"),
            number(cost["break_even_layer"], decimal(cost["break_even_layer"])),
            number(tasks, str(tasks)),
            _best(boards.find("full", name)),
        )
        rows.append(Row(cells))
    return Table("models", "Models, and what a read of the head costs on them", headers, rows)


def _best(view: View | None) -> Cell:
    first = next((row for row in view.boards["layers"].ranking if row.rank == 1), None) if view else None
    if first is None:
        return words("none ranked")
    return words(first.policy, href=policy_page(first.policy), note=f"EE-score {decimal(first.ee_score_layers)}")


def _tasks(material: Material) -> Table:
    headers = (
        Header("task"),
        Header("metric"),
        Header("models", numeric=True),
        Header("documents", numeric=True),
        Header("positions", numeric=True),
    )
    rows = []
    for name in material.tasks:
        some = [e for (_mode, _model, task), e in material.evaluations().items() if task == name]
        models = len({evaluation.model for evaluation in some})
        cells = (
            words(name, href=task_page(name)),
            words(some[-1].metric.removesuffix(",none")),
            number(models, str(models)),
            number(some[-1].n_docs, str(some[-1].n_docs)),
            number(some[-1].n_positions, str(some[-1].n_positions)),
        )
        rows.append(Row(cells))
    return Table("tasks", "Tasks, as they were measured last", headers, rows)


def _runs(material: Material) -> Table:
    headers = (
        Header("run", numeric=True),
        Header("started"),
        Header("device"),
        Header("results", numeric=True),
        Header("command", sortable=False),
    )
    rows = [
        Row(
            (
                number(run.id, str(run.id), href=run_page(run.id)),
                words(run.started, note="" if run.status == "finished" else run.status),
                words(run.provenance.device_name),
                number(run.n_results, str(run.n_results)),
                words(run.provenance.command),
            )
        )
        for run in sorted(material.runs.values(), key=lambda run: -run.id)
    ]
    return Table("runs", "Runs that results here came from, the newest first", headers, rows)
