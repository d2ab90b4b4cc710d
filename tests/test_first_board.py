"""The leaderboard that comes with EEBench: every figure on it holds, and what the README shows is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from eebench.own_tasks import GENERATION_TASKS, LIKELIHOOD_TASKS
from eebench.submission.submissions import Leaderboard
from tests.worlds import eebench

ROOT = Path(__file__).parent.parent
BOARD = ROOT / "leaderboard"
MODELS = {"smollm2-135m", "smollm2-135m-joint", "gemma3-270m"}
PUBLIC = {"arc_easy", "piqa", "wikitext", "gsm8k"}


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the traces that are published with it."""
    monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "cache"))


def test_every_bundle_holds() -> None:
    answer = eebench("leaderboard", "verify", BOARD)
    assert answer.exit_code == 0, answer.output
    assert "REFUSED" not in answer.stdout
    assert " verified" in answer.stdout


def test_it_has_every_model_on_own_and_public_tasks() -> None:
    measured: dict[str, set[str]] = {}
    for bundle in Leaderboard(BOARD).bundles():
        for one in bundle.evaluations:
            measured.setdefault(one.evaluation.model, set()).add(one.evaluation.task)
    assert measured.keys() == MODELS
    for model, tasks in measured.items():
        assert tasks >= PUBLIC | set(LIKELIHOOD_TASKS) | set(GENERATION_TASKS), model
        assert sum(task.startswith("blimp_") for task in tasks) == 8


def test_it_says_what_was_verified_when_it_was_accepted() -> None:
    bundles = {path.name for path in Leaderboard(BOARD).places}
    assert {path.stem for path in (BOARD / "checks").glob("*.json")} == bundles


def test_the_readme_shows_its_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = eebench("leaderboard", "rank", BOARD).stdout
    table = said[: said.index("EE-score:")].strip()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [line.rstrip() for line in table.splitlines()] == [
        line.rstrip() for line in readme[readme.index(table.splitlines()[0]) :].splitlines()[: len(table.splitlines())]
    ]
