"""One small model of each type goes the whole way, from a folder to scores: those of plain lm-eval at full depth."""

from __future__ import annotations

from pathlib import Path

import pytest

from eebench.harness import LoadedTask, TaskOptions, load_tasks
from eebench.subject import load_subject
from eebench.task_traces import trace_task
from tests.families.shrink import small_model
from tests.small_models import small_tokenizer
from tests.test_families import EXACT
from tests.test_run import plain_lm_eval, scored

OPTIONS = TaskOptions(limit=6)
TAKEN_FOR_PAIRS = ("bart", "marian", "pegasus")
"""lm-eval goes by the name of the type, and runs these decoders as if they had their encoders."""


@pytest.fixture(scope="module")
def task() -> LoadedTask:
    (loaded,) = load_tasks(["eebench_lastword"], OPTIONS)
    return loaded


@pytest.mark.parametrize("model_type", [name for name in EXACT if name not in TAKEN_FOR_PAIRS])
def test_full_depth_is_plain_lm_eval(model_type: str, task: LoadedTask, tmp_path: Path) -> None:
    small_model(model_type).save_pretrained(tmp_path)
    small_tokenizer().save_pretrained(tmp_path)
    subject = load_subject(str(tmp_path))
    plain = plain_lm_eval(subject.loaded.model, subject.loaded.tokenizer, task)
    assert scored(trace_task(subject, task, OPTIONS), "full") == pytest.approx(plain, rel=2e-3)
