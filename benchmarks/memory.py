"""Peak memory of tracing long documents, against plain lm-eval on the same ones.

    python -m benchmarks.memory --datasets-dir DIR [--task wikitext --limit 4]

Each side is a process of its own, watched from outside by its peak resident set. lm-eval holds the logits of all
positions of a batch; EEBench those of a hundred or so at a time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile

import click

from benchmarks.trace_once import PLAIN


@click.command()
@click.option("--model", default="smollm2-135m", show_default=True)
@click.option("--task", default="wikitext", show_default=True)
@click.option("--limit", default=4, show_default=True)
@click.option("--batch-size", default=1, show_default=True, help="Of lm-eval's side; 16 is what dies at 24 GB.")
@click.option("--datasets-dir", default="", help="Data sets in the hub's layout.")
@click.option("--skip-plain", is_flag=True, help="Only EEBench's side.")
def main(model: str, task: str, limit: int, batch_size: int, datasets_dir: str, skip_plain: bool) -> None:
    """Print the peak memory of both sides."""
    from eebench.cache import local_copy

    ours = [sys.executable, "-c", "from eebench.cli import main; main()", "run", "--no-cache", "--quiet"]
    ours += ["--models", model, "--tasks", task, "--limit", str(limit)]
    ours += ["--datasets-dir", datasets_dir] if datasets_dir else []
    with tempfile.TemporaryDirectory() as scratch:
        _run("eebench run", ours, {"EEBENCH_DB": f"{scratch}/results.db"})
    if not skip_plain:
        weights = str(local_copy(model) or model)
        _run(
            "plain lm-eval", [sys.executable, "-c", PLAIN, weights, task, str(limit), str(batch_size), datasets_dir], {}
        )


def _run(side: str, command: list[str], environment: dict[str, str]) -> None:
    """Run one side in a process that reports the peak of its only child, in GB of 10^9 bytes."""
    if os.fork() == 0:
        code = subprocess.run(command, env={**os.environ, **environment}, capture_output=True).returncode
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
        print(
            f"{side:<14} {f'peak {peak:.2f} GB' if code == 0 else f'died (exit code {code}) at {peak:.2f} GB'}",
            flush=True,
        )
        os._exit(0)
    os.wait()


if __name__ == "__main__":
    main()
