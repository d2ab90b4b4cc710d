"""`eebench report --by model|family|level`: what each model could save, and what policies save at a level kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eebench.cli import main
from eebench.ranking.eas import eas
from eebench.ranking.picking import LEVELS, pick
from eebench.ranking.skill import by_evaluation
from eebench.records.store import Store
from eebench.reports.by_model import family_of
from tests.small_models import LAYERS, save_small_model


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    folder = tmp_path_factory.mktemp("by-model")
    db = f"sqlite:///{folder / 'results.db'}"
    models = [str(save_small_model(folder / f"small-{seed}", seed=seed)) for seed in range(2)]
    environment = {"EEBENCH_CACHE": str(folder / "cache"), "EEBENCH_DB": db}
    tasks = ("-t", "eebench_agreement,eebench_facts", "--limit", "16")
    done = CliRunner().invoke(
        main, ["run", "-m", ",".join(models), "-p", "confidence,oracle,oracle-stable", *tasks], env=environment
    )
    assert done.exit_code == 0, done.output
    return db, *models  # type: ignore[return-value]


def report(db: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["report", *arguments], env={"EEBENCH_DB": db, "COLUMNS": "120"})


def test_a_row_per_model_with_what_its_layers_say(measured: tuple[str, str, str]) -> None:
    db, *models = measured
    rows = json.loads(report(db, "--by", "model", "--format", "json").stdout)["models"]
    assert {row["name"] for row in rows} == set(models)
    saves = [row["oracle_saves"] for row in rows]
    assert saves == sorted(saves, reverse=True)
    for row in rows:
        assert row["num_layers"] == LAYERS
        assert row["n_docs"] == 32
        assert row["oracle_stable_saves"] <= row["oracle_saves"]
        assert row["best_policy"] == "confidence"


def test_eas_is_that_of_the_agreement_of_each_task(measured: tuple[str, str, str]) -> None:
    db, model, _other = measured
    rows = json.loads(report(db, "--by", "model", "--format", "json").stdout)["models"]
    (row,) = [row for row in rows if row["name"] == model]
    with Store.open(db, create=False) as store:
        ids = {s.evaluation_id for s in store.newest([model]).results}
        about = [store.evaluation_documents(evaluation) for evaluation in ids]
    agreement = [np.sum(one["layer_agrees"], axis=0) / np.sum(one["n_positions"]) for one in about]
    assert row["eas"] == pytest.approx(np.mean([eas(one) for one in agreement]))


def test_a_row_per_family(measured: tuple[str, str, str]) -> None:
    (row,) = json.loads(report(measured[0], "--by", "family", "--format", "json").stdout)["families"]
    assert (row["name"], row["n_models"], row["n_docs"]) == ("other", 2, 64)
    assert family_of("smollm2-135m+some/adapter") == family_of("smollm2-135m") == "llama"


def test_a_table_with_what_it_means(measured: tuple[str, str, str]) -> None:
    for view in ("model", "family"):
        answer = report(measured[0], "--by", view)
        assert answer.exit_code == 0
        assert "EAS: mean over l < L" in answer.stdout
        assert "confidence" in answer.stdout


def test_the_first_of_a_ranking_alone(measured: tuple[str, str, str], tmp_path: Path) -> None:
    ranking = json.loads(report(measured[0], "--top", "1", "--format", "json").stdout)["ranking"]
    assert [row["policy"] for row in ranking] == ["confidence"]
    refused = report(measured[0], "--top", "1", "--by", "model")
    assert refused.exit_code == 2
    assert "--top goes with the ranking of policies" in refused.stderr


def test_what_is_saved_at_each_level_is_that_of_the_settings_picked_there(measured: tuple[str, str, str]) -> None:
    db = measured[0]
    rows = {row["policy"]: row for row in json.loads(report(db, "--by", "level", "--format", "json").stdout)["levels"]}
    ranking = json.loads(report(db, "--format", "json").stdout)["ranking"]
    assert list(rows) == [row["policy"] for row in ranking]
    for row in ranking:
        at = rows[row["policy"]]
        assert at["layers_saved_fidelity_99"] == row["layers_saved_99"]
        assert at["compute_saved_fidelity_99"] == row["compute_saved_99"]
        assert at["kept_fidelity_99"] == row["fidelity_99"]
    with Store.open(db, create=False) as store:
        grouped = by_evaluation(s for s in store.newest().results if s.result.policy == "confidence")
    for level in LEVELS:
        picked = [choice.test.layers_saved for some in grouped.values() if (choice := pick(some, level))]
        assert rows["confidence"][f"layers_saved_fidelity_{level:.0%}".rstrip("%")] == pytest.approx(np.mean(picked))


def test_levels_as_a_table(measured: tuple[str, str, str]) -> None:
    said = report(measured[0], "--by", "level").stdout
    assert "layers/fidelity" in said
    assert "compute/fidelity" in said
    assert "as measured on test documents" in " ".join(said.split())
    narrow = (
        CliRunner().invoke(main, ["report", "--by", "level"], env={"EEBENCH_DB": measured[0], "COLUMNS": "80"}).stdout
    )
    assert "compute/fidelity" not in narrow
    assert "No room here for compute saved" in narrow
