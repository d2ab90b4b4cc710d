"""Executed settings against the model's own `generate`: seconds, and what the cost model says of them.

    python -m benchmarks.execution [MODEL] [--context 300 --new-tokens 64 --rounds 5]

All sides run in turns in one process, at batch 1, on the same prompt, and go on for the same number of tokens. The
prefill is timed apart; that of `generate` is its time for one new token, less the time of one decoded token.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import torch

from eebench.generation.execution import Execution, ExecutionMode, Executor
from eebench.policy import ExitPolicy
from eebench.records.provenance import device_name, versions
from eebench.spec import parse_policies, settings_for
from eebench.subject import Subject, load_subject
from eebench.traces.prompts import Prompt, StopRule, position_keys


@dataclass(frozen=True)
class Side:
    """Seconds of one round; flops of decoding, where the cost model has been asked."""

    prefill: float
    decode: float
    flops: float | None = None


@click.command()
@click.argument("model", default="smollm2-135m")
@click.option("--context", default=300, show_default=True, help="Tokens of the prompt.")
@click.option("--new-tokens", default=64, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=0, help="Of torch; 0: as many as it takes.")
def main(model: str, context: int, new_tokens: int, rounds: int, threads: int) -> None:
    """Print medians over rounds, and ratios to the whole model executed."""
    if threads:
        torch.set_num_threads(threads)
    subject = load_subject(model)
    sides = _sides(subject, context, new_tokens)
    for side in sides.values():
        side()  # the first round of each pays for memory and kernels
    times: dict[str, list[Side]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(side())
    whole = times["full"]
    whole_decode = statistics.median(side.decode for side in whole)
    print(f"{'':<32} prefill s  decode s  tokens/s  time/full  flops/full")
    for name, measured in times.items():
        decode = statistics.median(side.decode for side in measured)
        flops, whole_flops = measured[0].flops, whole[0].flops
        share = f"{flops / whole_flops:10.3f}" if flops and whole_flops else " " * 10
        print(
            f"{name:<32} {statistics.median(side.prefill for side in measured):9.3f} {decode:9.3f} "
            f"{new_tokens / decode:9.1f} {decode / whole_decode:10.3f}  {share}"
        )
    generate = statistics.median(side.prefill + side.decode for side in times["generate"])
    ratio = generate / statistics.median(side.prefill + side.decode for side in whole)
    print(f"full, executed: {ratio:.2f} x the tokens/s of generate, prefill included")
    print(
        f"{context} + {new_tokens} tokens, {model}, {device_name(str(subject.reader.device))}, {os.cpu_count()} cores,"
    )
    print(f"{torch.get_num_threads()} threads, {versions()}")


def _sides(subject: Subject, context: int, new_tokens: int) -> dict[str, Callable[[], Side]]:
    model: Any = subject.loaded.model
    torch.manual_seed(0)
    vocab = model.config.get_text_config(decoder=True).vocab_size
    tokens = torch.randint(vocab // 8, vocab, (1, context), device=subject.reader.device)
    prompt = Prompt(tuple(tokens[0].tolist()), (), new_tokens)
    executor = Executor(subject.reader, subject.cost)
    last = subject.reader.num_layers
    half, deep = f"static:layer={last // 2}", f"static:layer={last - 2}"
    executed: list[tuple[str, ExecutionMode]] = [
        ("full", "full"),
        (half, "truncate"),
        (half, "full"),
        (half, "propagate"),
        (half, "copy"),
        ("random:p=0.5", "full"),
        ("entropy:threshold=1.0,every=4", "full"),
        (deep, "verify"),
    ]
    sides: dict[str, Callable[[], Side]] = {"generate": lambda: _generate(model, tokens, new_tokens)}
    for text, mode in executed:
        (setting,) = settings_for(parse_policies([text]), last)
        name = text if mode == "full" else f"{text} {mode}"
        sides[name] = lambda setting=setting, mode=mode: _execute(executor, prompt, setting, mode)  # type: ignore[misc]
    return sides


def _generate(model: Any, tokens: torch.Tensor, new_tokens: int) -> Side:
    one, all_of_them = (_seconds_to_generate(model, tokens, number) for number in (1, new_tokens))
    per_token = (all_of_them - one) / (new_tokens - 1)
    return Side(one - per_token, per_token * new_tokens)


def _seconds_to_generate(model: Any, tokens: torch.Tensor, number: int) -> float:
    started = time.perf_counter()
    answer = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=number,
        min_new_tokens=number,
        do_sample=False,
        pad_token_id=0,
    )
    answer.tolist()  # waits for the device
    return time.perf_counter() - started


def _execute(executor: Executor, prompt: Prompt, setting: ExitPolicy, mode: ExecutionMode) -> Side:
    keys = position_keys("benchmark", 0, prompt.max_new_tokens)
    done: Execution = executor.execute(prompt, setting, StopRule(None, frozenset()), keys, mode)
    return Side(done.prefill_seconds, done.decode_seconds, done.flops)


if __name__ == "__main__":
    main()
