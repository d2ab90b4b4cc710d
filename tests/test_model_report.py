"""`eebench report --by model|family`: what each model could save, and how suited it is for early exit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eebench.cli import main
from eebench.eas import eas
from eebench.model_report import family_of
from eebench.store import Store
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
