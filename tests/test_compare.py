"""`eebench compare`: pairs, differences and changed documents against the results themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eebench.cli import main
from tests.small_models import save_small_model

TASKS = ("-t", "eebench_agreement,eebench_facts", "--limit", "24")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A database of two models, the second run of the first one included."""
    folder = tmp_path_factory.mktemp("compared")
    db = f"sqlite:///{folder / 'results.db'}"
    first, second = (str(save_small_model(folder / f"small-{seed}", seed=seed)) for seed in range(2))
    environment = {"EEBENCH_CACHE": str(folder / "cache"), "EEBENCH_DB": db}
    for models in (f"{first},{second}", first):
        policies = "confidence,entropy,static,full,oracle"
        done = CliRunner().invoke(main, ["run", "-m", models, "-p", policies, *TASKS], env=environment)
        assert done.exit_code == 0, done.output
    return db, first, second


def eebench(db: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments], env={"EEBENCH_DB": db, "COLUMNS": "100"})


def compared(db: str, *arguments: str) -> dict[str, Any]:
    answer = eebench(db, "compare", *arguments, "--format", "json")
    assert answer.exit_code == 0, answer.output
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def results(db: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(eebench(db, "report", "--format", "json").stdout)["results"]
    return rows


def figures(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {measure["name"]: measure for measure in found["measures"]}


def test_settings_differ_by_the_difference_of_their_figures(measured: tuple[str, str, str]) -> None:
    db, model, _other = measured
    found = compared(db, "static:layer=2", "static:layer=4", "-m", model, "-t", "eebench_facts")
    rows = {r["setting"]: r for r in results(db) if r["model"] == model and r["task"] == "eebench_facts"}
    a, b = rows["static:layer=2"], rows["static:layer=4"]
    assert found["pairs"] == 1
    assert found["documents"] == 24
    for name, field in (("layers saved", "layers_saved"), ("fidelity", "fidelity"), ("quality", "quality")):
        measure = figures(found)[name]
        assert (measure["a"], measure["b"]) == pytest.approx((a[field], b[field]))
        assert measure["difference"] == pytest.approx(b[field] - a[field])
        assert measure["low"] <= measure["difference"] <= measure["high"]
    assert len(found["changed"]) + found["same"] == 24
    gained = sum(one["b"] - one["a"] for one in found["changed"])
    assert gained / 24 == pytest.approx(b["quality"] - a["quality"])


def test_a_run_against_another_of_the_same_differs_by_nothing(measured: tuple[str, str, str]) -> None:
    db, _model, _other = measured
    found = compared(db, "run:1", "run:2")
    assert found["pairs"] > 20
    assert found["changed"] == []
    assert all(measure["difference"] == measure["low"] == measure["high"] == 0 for measure in found["measures"])


def test_runs_in_other_metrics_have_no_answers_to_compare(measured: tuple[str, str, str], tmp_path: Path) -> None:
    _db, model, _other = measured
    db = f"sqlite:///{tmp_path / 'results.db'}"
    environment = {"EEBENCH_CACHE": str(tmp_path / "cache"), "EEBENCH_DB": db}
    for metric in ("acc", "acc_norm"):
        command = ["run", "-m", model, "-p", "static", "-t", "eebench_longwords", "--limit", "12", "--metric", metric]
        assert CliRunner().invoke(main, command, env=environment).exit_code == 0
    qualities = {row["setting"]: row["quality"] for row in results(db)}
    assert qualities != {
        row["setting"]: row["metrics"]["acc,none"]["value"] for row in results(db)
    }  # or there would be nothing to tell apart
    found = compared(db, "run:1", "run:2")
    assert found["pairs"] == len(qualities)
    assert figures(found).keys() == {"layers saved", "compute saved", "fidelity"}
    assert (found["changed"], found["same"]) == ([], 0)
    layers = ("static:layer=2", "static:layer=3", "--metric", "acc")
    assert {measure["name"] for measure in compared(db, *layers)["measures"]} >= {"quality"}
    assert figures(compared(db, *layers))["quality"] != figures(compared(db, *layers[:3], "acc_norm"))["quality"]


def test_policies_have_their_scores_compared_and_the_curves_that_the_scores_are_areas_of(
    measured: tuple[str, str, str],
) -> None:
    db, model, _other = measured
    found = compared(db, "confidence", "oracle", "-m", model)
    by_layers = next(score for score in found["scores"] if score["name"] == "EE-score by layers")
    assert by_layers["b"] == pytest.approx(100)
    assert found["pairs"] == 2
    assert {(one["model"], one["task"]) for one in found["curves"]} == {
        (model, "eebench_agreement"),
        (model, "eebench_facts"),
    }
    areas = {side: sum(area(one[side]) for one in found["curves"]) for side in ("a", "b")}
    assert by_layers["a"] == pytest.approx(100 * areas["a"] / areas["b"])
    for one in found["curves"]:
        assert one["a"][0] == one["b"][0] == [0.0, 1.0]
        assert one["a"][-1] == one["b"][-1]


def area(curve: list[list[float]]) -> float:
    """Between a curve and the straight line between its ends, by the length of that line in saving."""
    x, y = (np.array(column) for column in zip(*curve, strict=True))
    return float(np.trapezoid(y - (1 + (y[-1] - 1) * x / x[-1]), x) / x[-1])


def test_a_policy_has_the_figures_that_the_report_says_of_it_at_99_percent(measured: tuple[str, str, str]) -> None:
    db, model, _other = measured
    found = compared(db, "confidence", "static", "-m", model)
    ranking = json.loads(eebench(db, "report", "-m", model, "--format", "json").stdout)["ranking"]
    rows = {row["policy"]: row for row in ranking}
    assert found["documents"] < 48  # of the test part
    for side, policy in (("a", "confidence"), ("b", "static")):
        for name, field in (
            ("layers saved", "layers_saved_99"),
            ("compute saved", "compute_saved_99"),
            ("fidelity", "fidelity_99"),
        ):
            assert figures(found)[name][side] == pytest.approx(rows[policy][field])


def test_models_are_compared_policy_by_policy(measured: tuple[str, str, str]) -> None:
    db, model, other = measured
    found = compared(db, model, other, "-t", "eebench_facts")
    settings = {r["setting"] for r in results(db) if r["model"] == model and r["task"] == "eebench_facts"}
    assert found["pairs"] == len(settings)
    assert len(found["changed"]) + found["same"] == 24  # of the full model's answers
    scores = {score["name"]: score for score in found["scores"]}
    assert scores.keys() == {"EE-score of confidence", "EE-score of entropy"}
    for side, of in (("a", model), ("b", other)):
        said = json.loads(eebench(db, "report", "-m", of, "-t", "eebench_facts", "--format", "json").stdout)
        for row in said["ranking"]:
            if row["kind"] == "policy":
                assert scores[f"EE-score of {row['policy']}"][side] == pytest.approx(row["ee_score_layers"])
        full = next(row for row in said["results"] if row["policy"] == "full")
        assert figures(found)["quality"][side] == pytest.approx(full["quality"])
    assert [one["policy"] for one in found["curves"]] == ["confidence", "entropy"]


def test_curves_of_models_are_drawn(measured: tuple[str, str, str]) -> None:
    db, model, other = measured
    answer = eebench(db, "compare", model, other, "-t", "eebench_facts", "--plot")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.count("layers saved (%)") == 2  # of each policy


def test_what_was_not_measured_alike_is_said(measured: tuple[str, str, str], tmp_path: Path) -> None:
    _db, model, _other = measured
    db = f"sqlite:///{tmp_path / 'results.db'}"
    environment = {"EEBENCH_CACHE": str(tmp_path / "cache"), "EEBENCH_DB": db}
    for shots in ("0", "2"):
        command = ["run", "-m", model, "-p", "static", "-t", "eebench_facts", "--limit", "6", "--num-fewshot", shots]
        assert CliRunner().invoke(main, command, env=environment).exit_code == 0
    answer = eebench(db, "compare", "run:1", "run:2")
    assert "Not measured alike: eebench_facts: shots 0 under A, 2 under B." in answer.stdout


def test_a_document_alone_has_no_interval(measured: tuple[str, str, str], tmp_path: Path) -> None:
    _db, model, _other = measured
    db = f"sqlite:///{tmp_path / 'results.db'}"
    environment = {"EEBENCH_CACHE": str(tmp_path / "cache"), "EEBENCH_DB": db}
    command = ["run", "-m", model, "-p", "static", "-t", "eebench_facts", "--limit", "1"]
    assert CliRunner().invoke(main, command, env=environment).exit_code == 0
    found = compared(db, "static:layer=2", "static:layer=4")
    saved = figures(found)["layers saved"]
    assert saved["difference"] == pytest.approx(-2 / 5)
    assert (saved["low"], saved["high"]) == (None, None)
    assert "told apart" in eebench(db, "compare", "static:layer=2", "static:layer=4").stdout


def test_it_reads_well(measured: tuple[str, str, str]) -> None:
    db, model, _other = measured
    answer = eebench(db, "compare", "confidence", "entropy", "-m", model, "--plot")
    assert answer.exit_code == 0, answer.output
    assert "confidence (A) and entropy (B): 2 pairs of results on " in answer.stdout
    assert "EE-score by layers" in answer.stdout
    assert "layers saved (%)" in answer.stdout
    assert answer.stdout.count("exit layer") == 2 * 2  # of both, on each task
    assert "\x1b" not in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("confidense", "entropy"), "unknown policy, setting or model 'confidense': did you mean confidence?"),
        (("run:9", "run:1"), "there are no results of run:9"),
        (("run:1", "run:2", "--metric", "acc"), "runs are compared in the metrics they have: leave out --metric."),
        (("confidence", "entropy", "--metric", "f1"), "no results measured in f1 yet: there are some in acc"),
        (("confidence", "run:1"), "confidence is a policy and run:1 a run: compare two of a kind."),
    ],
)
def test_wrong_input_is_one_sentence(measured: tuple[str, str, str], arguments: tuple[str, ...], sentence: str) -> None:
    answer = eebench(measured[0], "compare", *arguments)
    assert answer.exit_code == 2
    assert isinstance(answer.exception, SystemExit)
    assert sentence in answer.stderr
