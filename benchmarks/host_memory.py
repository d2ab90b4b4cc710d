"""Training with freed memory kept against training with malloc as it comes: time, and peak memory.

    python -m benchmarks.host_memory [--steps 6 --rounds 2]

Each side is a process of its own, in turns, and trains an adapter on EEBench's own passages. A variable that malloc
itself does not know (MALLOC_AS_IT_COMES) is what tells EEBench to leave it alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.resources import files

import click

SIDES: dict[str, dict[str, str]] = {"freed memory kept": {}, "malloc as it comes": {"MALLOC_AS_IT_COMES": "1"}}


@click.command()
@click.option("--model", default="smollm2-135m", show_default=True)
@click.option("--steps", default=6, show_default=True)
@click.option("--rounds", default=2, show_default=True)
def main(model: str, steps: int, rounds: int) -> None:
    """Print seconds of each round, medians, their ratio, and peaks."""
    texts = files("eebench.tasks") / "passages" / "passages.jsonl"
    command = [sys.executable, "-c", "from eebench.cli import main; main()", "tune", model, "--quiet", "--fresh"]
    command += ["--data", str(texts), "--steps", str(steps), "--measure-every", str(steps)]
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    peaks: dict[str, float] = dict.fromkeys(SIDES, 0.0)
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            for side, environment in SIDES.items():
                took, peak = _timed([*command, "-o", f"{scratch}/adapter"], environment)
                seconds[side].append(took)
                peaks[side] = max(peaks[side], peak)
                print(f"round {number + 1}: {side:<20} {took:7.1f} s, peak {peak:.2f} GB", flush=True)
    kept, plain = (statistics.median(seconds[side]) for side in SIDES)
    print(f"{kept:.1f} s against {plain:.1f} s: {kept / plain:.2f} of the time")


def _timed(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds that a command took, and its peak resident set in GB of 10^9 bytes."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"exit code {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
