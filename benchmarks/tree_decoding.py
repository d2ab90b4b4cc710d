"""Many settings decoded as one tree, against each decoded by itself: seconds for the same answers.

    python -m benchmarks.tree_decoding --datasets-dir DIR [--task gsm8k --num-fewshot 5 --documents 20]

Three ways to the answers of all settings on all documents, in one process: `tree`, all together; `separate`, every
setting by itself with the documents batched as EEBench batches them; and `one by one`, every setting on every document
at batch 1, its heads read layer by layer until it stops, which is what evaluation code of early-exit papers does. The
last two take hours, so each is timed on a sample (settings for `separate`, pairs of a setting and a document for `one
by one`) and multiplied up. It is counted how many answers of the sample have the tree's tokens, exit layers and reads:
batches of another shape round differently, and a statistic within 1e-6 of a threshold may fall on its other side.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch

from eebench.generation.execution import Executor
from eebench.generation.tree_decoding import grow
from eebench.harness import TaskOptions, load_tasks
from eebench.policy import ExitPolicy
from eebench.records.provenance import device_name, versions
from eebench.spec import parse_policies, settings_for
from eebench.subject import Subject, load_subject
from eebench.traces.prompts import PromptedDocument, position_keys
from eebench.traces.trees import Tree

SETTINGS = (
    "confidence:threshold=0.5..0.99/8",
    "margin:threshold=0.4..0.98/6",
    "entropy:threshold=0.1..2.5/8",
    "patience:patience=2..7",
    "state:threshold=0.9..0.99/4",
    "similarity:threshold=[0.005,0.02],patience=[1,2]",
    "schedule:first=30,last=[15,24]",
    "random:p=[0.1,0.3]",
)
"""40 settings of all kinds."""

Answer = list[tuple[int, int, int]]
"""(token, exit layer, reads) for each position."""


@click.command()
@click.option("--model", default="smollm2-135m", show_default=True)
@click.option("--task", default="gsm8k", show_default=True)
@click.option("--num-fewshot", default=5, show_default=True)
@click.option("--documents", default=20, show_default=True)
@click.option("--max-gen-toks", default=32, show_default=True)
@click.option("--sampled-settings", default=4, show_default=True, help="Settings timed for `separate`.")
@click.option("--sampled-pairs", default=40, show_default=True, help="Pairs timed for `one by one`.")
@click.option("--datasets-dir", type=click.Path(path_type=Path, exists=True))
def main(
    model: str,
    task: str,
    num_fewshot: int,
    documents: int,
    max_gen_toks: int,
    sampled_settings: int,
    sampled_pairs: int,
    datasets_dir: Path | None,
) -> None:
    """Print the seconds of each way, and how many times the tree's they are."""
    options = TaskOptions(documents, num_fewshot, datasets_dir=datasets_dir, max_gen_toks=max_gen_toks)
    subject = load_subject(model)
    (loaded,) = load_tasks([task], options)
    asked = subject.encoder.encode_prompts(loaded.requests(options, subject.encoder))
    settings = settings_for(parse_policies(SETTINGS), subject.reader.num_layers)
    assert subject.runner.shares
    executor = Executor(subject.reader, subject.cost)

    started = time.perf_counter()
    tree = _decoded(subject, asked, settings)
    tree_seconds = time.perf_counter() - started
    answers = [_answers(tree, setting) for setting in settings]
    emitted = sum(len(answer) for of_setting in answers for answer in of_setting)
    print(f"{len(settings)} settings, {len(asked)} documents of {task}, {num_fewshot} shots, {emitted} tokens emitted")
    print(f"tree:       {tree_seconds:8.1f} s, {tree.num_positions} nodes, {tree.known.mean():.1%} of their heads read")

    rng = np.random.default_rng(0)
    chosen = rng.choice(len(settings), sampled_settings, replace=False)
    started = time.perf_counter()
    alone = [_answers(_decoded(subject, asked, [settings[number]]), settings[number]) for number in chosen]
    seconds = (time.perf_counter() - started) * len(settings) / len(chosen)
    same = sum(a == b for n, own in zip(chosen, alone, strict=True) for a, b in zip(own, answers[n], strict=True))
    print(
        f"separate:   {seconds:8.1f} s = {seconds / tree_seconds:.1f} x (from {len(chosen)} of {len(settings)}), "
        f"{same} of {len(chosen) * len(asked)} answers the same"
    )

    # Every setting as often as every other, on documents drawn at random.
    pairs = [(n % len(settings), int(rng.integers(len(asked)))) for n in range(sampled_pairs)]
    started = time.perf_counter()
    executed = [_executed(subject, executor, asked[document], settings[number]) for number, document in pairs]
    seconds = (time.perf_counter() - started) * len(settings) * len(asked) / len(pairs)
    total = len(settings) * len(asked)
    same = sum(own == answers[n][document] for own, (n, document) in zip(executed, pairs, strict=True))
    print(
        f"one by one: {seconds:8.1f} s = {seconds / tree_seconds:.1f} x (from {len(pairs)} of {total}), "
        f"{same} of {len(pairs)} answers the same"
    )
    print(
        f"{model}, {device_name(str(subject.reader.device))}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    )
    print(versions())


def _decoded(subject: Subject, asked: Sequence[PromptedDocument], settings: Sequence[ExitPolicy]) -> Tree:
    return grow(subject.runner, None, asked, settings, subject.encoder.stop_rule)


def _answers(tree: Tree, setting: ExitPolicy) -> list[Answer]:
    """What a setting emits for each request."""
    walk = tree.walk(setting)
    told: list[Answer] = [[] for _ in tree.requests]
    decisions = walk.decisions
    rows = zip(tree.request[walk.nodes], walk.tokens, decisions.exit_layer, decisions.lens_reads, strict=True)
    for request, token, exit_layer, reads in rows:
        told[request].append((int(token), int(exit_layer), int(reads)))
    return told


def _executed(subject: Subject, executor: Executor, document: PromptedDocument, setting: ExitPolicy) -> Answer:
    (request,) = document.requests
    keys = position_keys(document.hash, request.index, request.prompt.max_new_tokens)
    made = executor.execute(request.prompt, setting, subject.encoder.stop_rule, keys)
    return list(zip(made.tokens, made.exit_layer.tolist(), made.lens_reads.tolist(), strict=True))


if __name__ == "__main__":
    main()
