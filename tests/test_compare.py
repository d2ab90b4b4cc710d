"""`eebench compare`: pairs, differences and changed documents against the results themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def test_policies_have_their_scores_compared_and_their_fronts_given(measured: tuple[str, str, str]) -> None:
    db, model, _other = measured
    found = compared(db, "confidence", "oracle", "-m", model)
    by_layers = next(score for score in found["scores"] if score["name"] == "EE-score by layers")
    assert by_layers["b"] == pytest.approx(100)
    assert found["pairs"] == 2
    for fronts in found["curves"].values():
        assert {front["task"] for front in fronts} == {"eebench_agreement", "eebench_facts"}
        for front in fronts:
            x = [point[0] for point in front["points"]]
            assert x == sorted(x)
            assert [0.0, 1.0] in front["points"] or x[0] <= 0


def test_models_are_paired_setting_by_setting(measured: tuple[str, str, str]) -> None:
    db, model, other = measured
    found = compared(db, model, other, "-t", "eebench_facts")
    settings = {r["setting"] for r in results(db) if r["model"] == model and r["task"] == "eebench_facts"}
    assert found["pairs"] == len(settings)
    assert len(found["changed"]) + found["same"] == 24  # of the full model's answers


def test_it_reads_well(measured: tuple[str, str, str]) -> None:
    db, model, _other = measured
    answer = eebench(db, "compare", "confidence", "entropy", "-m", model, "--plot")
    assert answer.exit_code == 0, answer.output
    assert "confidence (A) and entropy (B): 2 pairs of results on 48 documents" in answer.stdout
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
