"""All default sweeps by trace and replay, against one plain lm-eval run of the same documents.

    python -m benchmarks.trace_once --datasets-dir DIR [--task arc_easy --limit 100 --rounds 3]

Both sides are whole processes (imports, loading the model, the task), run in turns; lm-eval's side is its own `hf`
model scored once, EEBench's every setting of every built-in policy, with no trace in the cache.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from eebench.records.provenance import device_name, versions

PLAIN = """
import sys
from eebench.harness import TaskOptions, load_tasks
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from pathlib import Path

model, task, limit, batch_size, datasets_dir = sys.argv[1:]
options = TaskOptions(limit=int(limit), datasets_dir=Path(datasets_dir) if datasets_dir else None)
(loaded,) = load_tasks([task], options)
lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=int(batch_size))
print(evaluate(lm, {"tasks": {loaded.name: loaded.task}}, limit=options.limit, bootstrap_iters=0)["results"])
"""


@click.command()
@click.option("--model", default="smollm2-135m", show_default=True)
@click.option("--task", default="arc_easy", show_default=True)
@click.option("--limit", default=100, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--batch-size", default=16, show_default=True, help="Of lm-eval's side; EEBench's is auto.")
@click.option("--datasets-dir", default="", help="Data sets in the hub's layout.")
def main(model: str, task: str, limit: int, rounds: int, batch_size: int, datasets_dir: str) -> None:
    """Print seconds of each round, medians, and their ratio."""
    from eebench.cache import local_copy

    weights = str(local_copy(model) or model)
    plain = [sys.executable, "-c", PLAIN, weights, task, str(limit), str(batch_size), datasets_dir]
    ours = [sys.executable, "-c", "from eebench.cli import main; main()", "run", "--no-cache", "--quiet"]
    ours += ["--models", model, "--tasks", task, "--limit", str(limit)]
    ours += ["--datasets-dir", datasets_dir] if datasets_dir else []
    seconds: dict[str, list[float]] = {"plain lm-eval": [], "eebench run": []}
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch) / "results.db"
        for _ in range(rounds):
            seconds["plain lm-eval"].append(_timed(plain, {}))
            seconds["eebench run"].append(_timed(ours, {"EEBENCH_DB": str(database)}))
        settings = _settings(database)
    for side, times in seconds.items():
        print(f"{side:<14} {' '.join(f'{value:6.1f}' for value in times)} s, median {statistics.median(times):.1f} s")
    ratio = statistics.median(seconds["eebench run"]) / statistics.median(seconds["plain lm-eval"])
    print(f"{settings} settings for {ratio:.2f} x the time of one plain lm-eval run")
    print(f"{task}, {limit} documents, {model}, {device_name('cpu')}, {os.cpu_count()} cores, {versions()}")


def _timed(command: Sequence[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return time.perf_counter() - started


def _settings(database: Path) -> int:
    from eebench.records.store import Store

    with Store.open(str(database), create=False) as store:
        return len(store.newest().results)


if __name__ == "__main__":
    main()
