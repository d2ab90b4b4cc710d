"""The command that measures a row again, from the run it came from."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from eebench.plugins.registry import builtin_policies
from eebench.policy import ExitPolicy
from eebench.quality import name_of
from eebench.records.results import StoredResult
from eebench.records.store import Run
from eebench.spec import PolicySpec

VALUED = ("--limit", "--max-gen-toks", "--num-fewshot", "--seed", "--metric", "--dtype", "--quantize")
FLAGS = ("--apply-chat-template", "--half-layers", "--execute", "--trust-remote-code", "--allow-pickle")
"""Options of `eebench run` that change what is measured, or without which a model cannot be; others are the user's."""


def command(results: Sequence[StoredResult], runs: Mapping[int, Run]) -> str:
    """What to type to measure these results again; several lines where they were measured in different ways.

    Args:
        results: of one policy.
        runs: the runs they came from, by id.
    """
    alike: dict[tuple[str, ...], list[StoredResult]] = {}
    for stored in sorted(results, key=lambda s: (s.evaluation.model, s.evaluation.task, s.result_id)):
        alike.setdefault(_options(stored, runs), []).append(stored)
    return "\n".join(line for options, some in alike.items() for line in _lines(some, options, runs))


def _lines(results: Sequence[StoredResult], options: Sequence[str], runs: Mapping[int, Run]) -> Iterable[str]:
    """A line for all models that were measured on the same tasks with the same settings."""
    by_model: dict[str, list[StoredResult]] = {}
    for stored in results:
        by_model.setdefault(stored.evaluation.model, []).append(stored)
    together: dict[tuple[str, str], list[str]] = {}
    for model, of_model in by_model.items():
        tasks = ",".join(dict.fromkeys(stored.evaluation.task for stored in of_model))
        together.setdefault((_spec(of_model, runs), tasks), []).append(model)
    for (spec, tasks), models in together.items():
        yield shlex.join(["eebench", "run", "-p", spec, "-m", ",".join(models), "-t", tasks, *options])


# --- options -----------------------------------------------------------------------------------------------------


def _options(stored: StoredResult, runs: Mapping[int, Run]) -> tuple[str, ...]:
    evaluation = stored.evaluation
    given = _given(_words(stored, runs))
    if not {"--dtype", "--quantize"} & given.keys():
        given["--dtype"] = evaluation.dtype
    if name_of(given.get("--metric", "")) != name_of(evaluation.metric):
        given.pop("--metric", None)  # a task that does not define it, and was measured in its own
    if evaluation.kv_mode != "full":
        given["--kv-mode"] = evaluation.kv_mode
    return tuple(word for name, value in given.items() for word in (name, value) if word)


def _given(words: Sequence[str]) -> dict[str, str]:
    """The options of a command line that change what is measured, in the order of `VALUED` and `FLAGS`."""
    found: dict[str, str] = {}
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in VALUED and (equals or number + 1 < len(words)):
            found[name] = value if equals else words[number + 1]
        elif word in FLAGS:
            found[word] = ""
    return {name: found[name] for name in (*VALUED, *FLAGS) if name in found}


def _words(stored: StoredResult, runs: Mapping[int, Run]) -> list[str]:
    """The command line of the run a result came from, if it can be read."""
    run = runs.get(stored.run_id)
    try:
        return shlex.split(run.provenance.command) if run else []
    except ValueError:
        return []


# --- policies ----------------------------------------------------------------------------------------------------


def _spec(results: Sequence[StoredResult], runs: Mapping[int, Run]) -> str:
    """The settings of one policy on one model, in the grammar of `--policy`."""
    first = results[0]
    files = [] if first.result.builtin else _policy_files(_words(first, runs))
    if files:
        return ",".join(files)
    policy = builtin_policies().get(first.result.policy) if first.result.builtin else None
    settings = list(dict.fromkeys(stored.result.setting for stored in results))
    if policy and len(settings) > 1 and set(settings) == _default_sweep(policy, first.evaluation.num_layers):
        return policy.name
    return ",".join(settings)


def _policy_files(words: Sequence[str]) -> list[str]:
    """What a command line names as policies in files; which of them is which cannot be told without running them."""
    named = (word.removeprefix("--policy=") for word in words)
    return list(dict.fromkeys(word for word in named if re.search(r"\.py([:,]|$)", word)))


def _default_sweep(policy: type[ExitPolicy], num_layers: int) -> set[str]:
    required = any(field.is_required() for field in policy.model_fields.values())
    settings = [] if required else PolicySpec(policy.name, policy, {}).settings(num_layers)
    return {setting.setting() for setting in settings}
