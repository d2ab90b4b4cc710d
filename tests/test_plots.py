"""Figures show what was measured, and what cannot be drawn is said in a sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eebench.cli import main
from eebench.errors import EEBenchError
from eebench.plots.figures import FIGURES, Chosen, agreement, settings_in_order, telling
from eebench.plots.points import curves, left_out, no_skill_end, points
from eebench.plots.style import GREY, policy_series, series
from eebench.ranking.rank import rank
from eebench.ranking.skill import area_above, skills_of
from eebench.records.results import StoredResult
from eebench.records.store import Store
from tests.records import evaluation, stored, summary
from tests.site_records import CLOSING, GENERATION, HOSTILE, LOSSES, MODELS, TASKS, fill


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plot", *arguments])


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("results") / "results.db")
    fill(path)
    return path


def drawn(db: str, figure: str, **chosen: Any) -> dict[str, Any]:
    """The figure's Vega-Lite spec."""
    with Store.open(db) as store:
        spec: dict[str, Any] = FIGURES[figure](store, Chosen(**chosen)).to_dict()
    return spec


def results(db: str, model: str, task: str) -> list[StoredResult]:
    with Store.open(db) as store:
        return store.newest([model], [task]).results


# --- points and curves -------------------------------------------------------------------------------------------


def test_a_point_is_the_mean_over_tasks_on_test_documents() -> None:
    parts = {"all": summary(layers_saved=0.9), "test": summary(layers_saved=0.2, fidelity=0.9, retention=None)}
    other = {"all": summary(layers_saved=0.9), "test": summary(layers_saved=0.4, fidelity=0.7, retention=0.5)}
    both = [stored(summaries=parts), stored(2, of=evaluation(task="facts"), summaries=other)]
    (point,) = points(both)
    assert point["layers"] == pytest.approx(0.3)
    assert point["fidelity"] == pytest.approx(0.8)
    assert point["quality"] == 0.5
    assert point["setting"] == "entropy:threshold=0.5"


def test_a_setting_that_was_not_measured_on_all_tasks_has_no_point() -> None:
    some = [stored(), stored(2, of=evaluation(task="facts")), stored(3, policy="margin")]
    assert {point["policy"] for point in points(some)} == {"entropy"}
    assert left_out(some, points(some)) == 1


def test_a_figure_says_how_many_settings_it_lacks(db: str) -> None:
    assert "subtitle" not in drawn(db, "pareto", models=["tiny"], tasks=["agreement"])["title"]
    measured = [{stored.result.setting for stored in results(db, "tiny", task)} for task in (*TASKS, GENERATION)]
    lacking = len(set.union(*measured) - set.intersection(*measured))
    assert lacking
    assert drawn(db, "pareto", models=["tiny"])["title"]["subtitle"][1].endswith(f"on all these tasks: {lacking}")


def test_quality_is_that_of_informative_tasks_alone() -> None:
    some = [
        stored(summaries={"all": summary(layers_saved=0.2, retention=0.9)}),
        stored(2, of=evaluation(task="facts", informative=False), summaries={"all": summary(layers_saved=0.4)}),
    ]
    (point,) = points(some)
    assert (point["layers"], point["quality"], point["quality_layers"]) == (pytest.approx(0.3), 0.9, 0.2)


def test_in_generation_what_is_kept_of_answers_stands_for_fidelity() -> None:
    (point,) = points([stored(summaries={"all": summary(fidelity=0.9, kept=0.4)})])
    assert point["fidelity"] == 0.4


def test_the_curve_of_a_policy_is_the_one_its_score_is_the_area_of(db: str) -> None:
    some = results(db, CLOSING, "agreement")
    scores = {row.policy: row.ee_score_layers for row in rank(some).ranking}
    areas = {policy: _area(curve) for policy, curve in curves(some, "layers", "fidelity").items()}
    for policy in ("entropy", "patience", HOSTILE):
        assert 100 * areas[policy] / areas["oracle"] == pytest.approx(scores[policy])


def test_the_curve_over_several_tasks_has_their_mean_skill_as_its_area(db: str) -> None:
    with Store.open(db) as store:
        some = store.newest([CLOSING], list(TASKS)).results
    drawn = curves(some, "layers", "fidelity")
    assert len(TASKS) > 1
    for policy in ("entropy", "patience", HOSTILE, "oracle"):
        skills = skills_of((one for one in some if one.result.policy == policy), "layers")
        assert len(skills) == len(TASKS)
        assert _area(drawn[policy]) == pytest.approx(np.mean(list(skills.values())), abs=2e-3)


def test_a_setting_of_one_task_alone_is_on_the_curve_over_several(db: str) -> None:
    with Store.open(db) as store:
        some = store.newest([CLOSING], list(TASKS)).results
    first = TASKS[0]
    best = max(
        (one for one in some if one.result.policy == "entropy" and one.evaluation.task == first),
        key=lambda one: one.result.summaries["calibration"].fidelity * one.result.summaries["calibration"].layers_saved,
    )
    without = [one for one in some if one is not best]
    assert best.result.setting not in {point["setting"] for point in points(without)}
    assert curves(without, "layers", "fidelity")["entropy"] != curves(some, "layers", "fidelity")["entropy"]


def test_a_policy_that_was_not_measured_on_all_tasks_has_no_curve(db: str) -> None:
    with Store.open(db) as store:
        some = store.newest([CLOSING], list(TASKS)).results
    less = [one for one in some if (one.result.policy, one.evaluation.task) != ("entropy", TASKS[0])]
    assert curves(some, "layers", "fidelity").keys() - curves(less, "layers", "fidelity").keys() == {"entropy"}


def test_a_figure_of_one_policy_has_the_curve_it_has_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {part: summary(layers_saved=0.3) for part in ("all", "calibration", "test")}
    some = [
        stored(summaries=parts),
        stored(2, policy="margin", summaries=parts),
        stored(3, of=evaluation(task="facts"), policy="margin", summaries=parts),
    ]
    monkeypatch.setattr("eebench.plots.figures._of_one_model", lambda _store, _chosen: some)
    with pytest.raises(EEBenchError, match="nothing of this was measured on all the tasks"):
        FIGURES["pareto"](None, Chosen(policies=("entropy",)))  # type: ignore[arg-type]
    for policies in ((), ("entropy", "margin")):
        spec = FIGURES["pareto"](None, Chosen(policies=policies)).to_dict()  # type: ignore[arg-type]
        assert {point["policy"] for point in spec["datasets"]["curves"]} == {"margin"}


def _area(curve: Sequence[tuple[float, float]]) -> float:
    assert curve[0] == (0.0, 1.0)
    assert all(one[0] < other[0] for one, other in pairwise(curve))
    x, y = np.array(curve).T
    return float(area_above(x, y))


def test_the_no_skill_line_ends_where_everything_stops_at_layer_1(db: str) -> None:
    end = no_skill_end(results(db, "tiny", "agreement"))
    assert end is not None
    assert (end["layers"], end["fidelity"]) == (pytest.approx(5 / 6), 0.2)
    assert no_skill_end([stored(of=evaluation(coin_end={}))]) is None


# --- looks -------------------------------------------------------------------------------------------------------


def test_no_two_names_look_the_same() -> None:
    names = [f"policy-{number}" for number in range(40)]
    look = series(names)
    assert len(set(zip(look.colours, look.shapes, strict=True))) == len(names)


def test_controls_and_bounds_are_grey_and_bounds_are_stars() -> None:
    look = policy_series({"static": "control", "entropy": "policy", "oracle": "bound", "random": "control"})
    assert list(look.names) == ["entropy", "random", "static", "oracle"]
    assert look.colours[0] != GREY
    assert set(look.colours[1:]) == {GREY}
    assert look.shapes[3].startswith("M0,-1")
    assert len(set(zip(look.colours, look.shapes, strict=True))) == 4


# --- figures -----------------------------------------------------------------------------------------------------


def test_pareto_draws_every_setting_with_static_oracle_and_the_coin(db: str) -> None:
    data = drawn(db, "pareto", models=["tiny"], tasks=["agreement"])["datasets"]
    assert {point["policy"] for point in data["points"]} == set(LOSSES)
    static = [(point["layers"], point["fidelity"]) for point in data["points"] if point["policy"] == "static"]
    line = [(point["layers"], point["fidelity"]) for point in data["curves"] if point["policy"] == "static"]
    assert {at for at in static if 0 < at[0] < 5 / 6 - 1e-9} <= set(line)  # every one, below the no-skill line as well
    assert [(end["layers"], end["fidelity"]) for end in data["coin"]] == [(0.0, 1.0), (pytest.approx(5 / 6), 0.2)]
    alone = drawn(db, "pareto", models=["tiny"], tasks=["agreement"], policies=["entropy"])["datasets"]
    assert {point["policy"] for point in (*alone["points"], *alone["curves"])} == {"entropy"}


def test_pareto_plots_what_is_asked_for(db: str) -> None:
    spec = drawn(db, "pareto", models=["tiny"], tasks=["agreement"], x="compute", y="quality")
    encoding = spec["layer"][2]["encoding"]
    assert (encoding["x"]["field"], encoding["y"]["field"]) == ("quality_compute", "quality")


def test_a_histogram_is_of_shares_over_all_tasks_beside_the_oracle(db: str) -> None:
    rows = drawn(db, "histogram", models=["tiny"], tasks=TASKS, policies=["entropy:threshold=0.25"])["datasets"][
        "exits"
    ]
    own = [row["share"] for row in rows if not row["reference"]]
    assert own == [pytest.approx(count / 11) for count in (2, 0, 1, 2, 0, 6)]
    assert sum(row["share"] for row in rows if row["reference"]) == pytest.approx(1)


def test_a_histogram_of_no_policy_in_particular_shows_a_telling_setting_of_each(db: str) -> None:
    rows = drawn(db, "histogram", models=["tiny"], tasks=TASKS)["datasets"]["exits"]
    settings = {row["setting"] for row in rows if not row["reference"]}
    assert settings == {
        "entropy:threshold=0.1",
        "patience:patience=1",
        "Entropy:threshold=0.1",
        f"{HOSTILE}:threshold=0.1",
    }


def test_the_telling_setting_saves_most_at_90_percent_fidelity_or_is_the_most_faithful() -> None:
    figures = {0.1: (0.1, 0.95), 0.2: (0.2, 0.91), 0.3: (0.3, 0.89)}
    some = [
        stored(parameters=f"threshold={t}", summaries={"all": summary(layers_saved=saved, fidelity=fidelity)})
        for t, (saved, fidelity) in figures.items()
    ]
    grouped = settings_in_order(some)
    assert telling(list(grouped), grouped) == "entropy:threshold=0.2"
    assert telling(["entropy:threshold=0.3"], grouped) == "entropy:threshold=0.3"


def test_lens_is_the_share_of_positions_at_which_a_layer_agrees(db: str) -> None:
    with Store.open(db) as store:
        curves = agreement(store, store.newest().results)
    # Four documents of 1, 2, 1, 2 positions: no layer agrees at none, all from the third on.
    assert curves["tiny", "facts"] == [pytest.approx(share) for share in (0, 4 / 6, 1, 1, 1, 1)]
    spec = drawn(db, "lens", tasks=["facts"])
    assert {row["name"] for row in spec["datasets"]["lens"]} == {f"facts, {model}" for model in MODELS}


def lens_lines(spec: dict[str, Any]) -> dict[str, list[float]]:
    lines: dict[str, list[float]] = {}
    for row in spec["datasets"]["lens"]:
        lines.setdefault(row["name"], []).append(row["share"])
    return lines


def test_lens_draws_each_model_as_the_mean_over_its_tasks(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = {("tiny", "a"): [0.0, 1.0], ("tiny", "b"): [0.5, 1.0], ("big", "a"): [0.2, 1.0], ("big", "b"): [0.4, 1.0]}
    monkeypatch.setattr("eebench.plots.figures.agreement", lambda *_: dict(sorted(curves.items())))
    spec = drawn(db, "lens")
    assert lens_lines(spec) == {"tiny": [0.25, 1.0], "big": [pytest.approx(0.3), 1.0]}
    assert spec["title"] == "mean over 2 tasks"


def test_lens_of_one_model_says_over_how_many_tasks_it_is_the_mean(db: str) -> None:
    spec = drawn(db, "lens", models=["tiny"])
    assert list(lens_lines(spec)) == ["tiny"]
    assert spec["title"] == "tiny, mean over 3 tasks"


def test_lens_of_models_with_other_tasks_says_so(db: str) -> None:
    spec = drawn(db, "lens")  # only tiny was measured on the task of generation
    assert set(lens_lines(spec)) == {"tiny, 3 tasks", f"{CLOSING}, 2 tasks"}
    assert spec["title"] == "means over tasks, which are not the same for all models"


def test_lens_draws_a_line_per_task_on_request(db: str) -> None:
    spec = drawn(db, "lens", models=["tiny"], per_task=True)
    assert set(lens_lines(spec)) == {*TASKS, "lists"}
    assert spec["title"] == "tiny"
    both = drawn(db, "lens", tasks=TASKS, per_task=True)
    assert set(lens_lines(both)) == {f"{task}, {model}" for task in TASKS for model in MODELS}


def test_lens_of_one_model_on_one_task_is_named_by_it(db: str) -> None:
    spec = drawn(db, "lens", models=["tiny"], tasks=["facts"])
    assert (list(lens_lines(spec)), spec["title"]) == (["facts"], "tiny")


def test_lens_has_no_mean_of_layers_that_are_not_the_same(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "eebench.plots.figures.agreement", lambda *_: {("tiny", "a"): [0.5, 1.0], ("tiny", "b"): [0.2, 0.5, 1.0]}
    )
    with pytest.raises(EEBenchError, match=r"^tiny has not as many layers on every task: .* --per-task\.$"):
        drawn(db, "lens")
    assert set(lens_lines(drawn(db, "lens", per_task=True))) == {"a", "b"}


def test_a_heatmap_is_the_ranking_of_each_task(db: str) -> None:
    cells = drawn(db, "heatmap", models=["tiny"])["datasets"]["cells"]
    scores = {row.policy: row.ee_score_layers for row in rank(results(db, "tiny", "facts")).ranking}
    assert {cell["policy"]: cell["score"] for cell in cells if cell["task"] == "facts"} == scores
    assert {cell["task"] for cell in cells} == {*TASKS, "lists"}
    by = drawn(db, "heatmap", models=["tiny"], tasks=["facts"], x="compute")["datasets"]["cells"]
    assert [cell["score"] for cell in by] != [cell["score"] for cell in cells if cell["task"] == "facts"]


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "first"), [("a.svg", b"<svg"), ("b.PNG", b"\x89PNG"), ("c.pdf", b"%PDF")])
@pytest.mark.parametrize("figure", ["pareto", "histogram", "lens", "heatmap"])
def test_a_figure_is_a_file_of_its_kind(db: str, tmp_path: Path, figure: str, name: str, first: bytes) -> None:
    out = tmp_path / name
    said = invoke(figure, "-o", str(out), "--db", db, "-m", "tiny")
    assert (said.exit_code, said.stdout, said.stderr) == (0, "", f"Written to {out}.\n")
    assert out.read_bytes().startswith(first)
    assert list(tmp_path.iterdir()) == [out]


def test_the_command_draws_a_line_per_task(db: str, tmp_path: Path) -> None:
    out = tmp_path / "lens.svg"
    assert invoke("lens", "-o", str(out), "--db", db, "-m", "tiny").exit_code == 0
    assert "tiny, mean over 3 tasks" in out.read_text()
    assert invoke("lens", "-o", str(out), "--db", db, "-m", "tiny", "--per-task").exit_code == 0
    assert "agreement" in out.read_text()


def test_a_name_is_text_in_a_figure(db: str, tmp_path: Path) -> None:
    assert invoke("lens", "-o", str(tmp_path / "lens.svg"), "--db", db).exit_code == 0
    svg = (tmp_path / "lens.svg").read_text()
    assert "&lt;img" in svg
    assert "<img" not in svg


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pareto", "-o", "a.gif"], "a.gif is not the name of a figure: end it in .svg, .png or .pdf."),
        (["pareto", "-o", "none/a.svg"], "none/a.svg cannot be written: there is no folder none."),
        (
            ["pareto", "-o", "a.svg"],
            f"this figure is of one model, and there are {CLOSING}, tiny: name one with --model.",
        ),
        (["pareto", "-o", "a.svg", "-m", "tony"], "unknown model 'tony': did you mean tiny?"),
        (["pareto", "-o", "a.svg", "-m", "tiny", "-p", "entropi"], "unknown policy 'entropi': did you mean "),
        (["histogram", "-o", "a.svg", "-m", "tiny", "-t", "fact"], "unknown task 'fact': did you mean facts?"),
        (["lens", "-o", "a.svg", "--kv-mode", "verify"], "no results under KV mode verify yet"),
        (
            ["pareto", "-o", "a.svg", "-m", "tiny", "-t", "facts", "--y", "quality"],
            "there is no quality to retain here: take --y fidelity, or tasks the model is better at.",
        ),
        (
            ["heatmap", "-o", "a.svg", "-m", "tiny", "--x", "compute", "--y", "quality"],
            "there is no EE-score by compute and quality: leave --x or --y out.",
        ),
        (["heatmap", "-o", "a.svg", "--kv-mode", "copy"], "there are no EE-scores by layers here"),
        (["lens", "-o", "a.svg", "--metric", "f1"], "no results measured in f1 yet: there are some in "),
        (["lens", "-o", "a.svg", "--db", "none.db"], "no results yet in none.db"),
    ],
)
def test_bad_input_is_one_sentence(
    db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = invoke(*arguments, *([] if "--db" in arguments else ["--db", db]))
    assert answer.exit_code == 2
    assert answer.stderr.startswith(f"Error: {said}")
    assert answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_too_many_histograms_are_refused(db: str) -> None:
    some = [stored(number, parameters=f"threshold=0.{number:03}") for number in range(1, 60)]

    class Full:
        def newest(self, *_: Any) -> Any:
            return type("Newest", (), {"results": some})

    with pytest.raises(EEBenchError, match=r"^59 settings are too many for a figure: name at most 48 with -p\.$"):
        FIGURES["histogram"](Full(), Chosen(policies=["entropy"]))  # type: ignore[arg-type]


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "altair" else object())
    answer = invoke("pareto", "-o", "a.svg")
    assert answer.exit_code == 2
    assert "pip install 'eebench[plots]'" in answer.stderr


def test_help_and_plotting_import_nothing_heavy(db: str, tmp_path: Path) -> None:
    script = (
        "import sys; from eebench.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "print(sorted({'torch', 'lm_eval', 'transformers', 'datasets', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    plot = ["plot", "lens", "-o", str(tmp_path / "lens.svg"), "--db", db]
    for words in (["plot", "--help"], plot):
        said = subprocess.run([sys.executable, "-c", script, *words], check=True, capture_output=True, text=True)
        assert said.stdout.splitlines()[-1] == "[]"
