"""Runs all tasks with plain lm-eval and prints the README's table: `python tasks/measure.py MODEL_PATH`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HEADER = (
    "| Task | Documents | Requests | Context tokens | Scored tokens | Chance | Score | z |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
)
Sample = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """What a task costs: its requests, and the tokens of all of them together."""

    documents: int
    requests: int
    context_tokens: int
    scored_tokens: int

    def __add__(self, other: Size) -> Size:
        return Size(
            self.documents + other.documents,
            self.requests + other.requests,
            self.context_tokens + other.context_tokens,
            self.scored_tokens + other.scored_tokens,
        )

    def cells(self) -> list[str]:
        means = (self.context_tokens / self.requests, self.scored_tokens / self.requests)
        return [str(self.documents), str(self.requests), *(f"{mean:.1f}" for mean in means)]


def task_names(only: Sequence[str]) -> list[str]:
    return [f"eebench_{name}" for name in sorted(only or (path.parent.name for path in HERE.glob("*/*.yaml")))]


def evaluate(model_path: str, names: list[str], threads: int | None) -> tuple[Any, dict[str, Any]]:
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    if threads:
        torch.set_num_threads(threads)
    model = HFLM(pretrained=model_path, device="cpu", dtype="float32", batch_size=16)
    manager = TaskManager(include_path=str(HERE), include_defaults=False)
    results = simple_evaluate(model, tasks=names, task_manager=manager, bootstrap_iters=0)
    assert results is not None
    return model, results


def request_tokens(model: Any, arguments: Sequence[Any], target: str) -> tuple[int, int]:
    """Tokens of the context and of what is scored, as the harness itself splits them.

    Where the model writes the answer itself, the right answer is counted: what it writes depends on the model.
    """
    if len(arguments) == 1:
        return 0, len(model.tok_encode(arguments[0]))
    context, answer = arguments
    context_tokens, scored = model._encode_pair(context, f" {target}" if isinstance(answer, dict) else answer)
    return len(context_tokens), len(scored)


def size(model: Any, samples: list[Sample]) -> Size:
    requests = [
        request_tokens(model, arguments, str(sample["target"]))
        for sample in samples
        for arguments in sample["arguments"]
    ]
    contexts, scored = zip(*requests, strict=True)
    return Size(len(samples), len(requests), sum(contexts), sum(scored))


def judged(samples: list[Sample], metrics: dict[str, float]) -> list[str]:
    """Chance, score with its standard error, and how far above chance it is in standard deviations of a guess."""
    accuracy = metrics.get("acc,none", metrics.get("exact_match,none"))
    if accuracy is None:
        return ["", f"{metrics['bits_per_byte,none']:.3f} bits per byte", ""]
    n, choices = len(samples), len(samples[0]["arguments"])
    error = math.sqrt(accuracy * (1 - accuracy) / n)
    if choices == 1:  # the answer is one of all strings, not one of a few choices
        return ["0", f"{accuracy:.3f} ± {error:.3f}", f"{accuracy / error:.1f}" if error else ""]
    chance = 1 / choices
    z = (accuracy - chance) / math.sqrt(chance * (1 - chance) / n)
    return [f"{chance:.3f}", f"{accuracy:.3f} ± {error:.3f}", f"{z:.1f}"]


def table(model: Any, results: dict[str, Any]) -> list[str]:
    lines = list(HEADER)
    total = Size(0, 0, 0, 0)
    for task, samples in sorted(results["samples"].items()):
        cost = size(model, samples)
        total += cost
        cells = [f"`{task}`", *cost.cells(), *judged(samples, results["results"][task])]
        lines.append(f"| {' | '.join(cells)} |")
    tokens = total.context_tokens + total.scored_tokens
    lines += ["", f"{total.requests} requests, {tokens} tokens in all, of which {total.scored_tokens} are scored."]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_path")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="only these, e.g. facts (default: all)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    arguments = parser.parse_args()
    print("\n".join(table(*evaluate(arguments.model_path, task_names(arguments.tasks), arguments.threads))))


if __name__ == "__main__":
    main()
