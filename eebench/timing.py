"""Time, measured by executing: the full model and each setting take turns on the same prompts, round after round."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from eebench.errors import EEBenchError
from eebench.own_tasks import DEFAULT_GENERATION_TASK
from eebench.plugins.registry import find_policy, source_hash
from eebench.policy import Bound, ExitPolicy
from eebench.progress import Progress, Silent
from eebench.records.results import KvMode, Timing
from eebench.spec import PolicySpec, parse_policies, settings_for

if TYPE_CHECKING:
    from eebench.generation.execution import Execution
    from eebench.harness import LoadedTask
    from eebench.run import RunPlan
    from eebench.subject import Subject
    from eebench.traces.prompts import Prompt


@dataclass(frozen=True)
class Side:
    """A setting under a KV mode: what takes its turn in a round."""

    policy: ExitPolicy
    kv_mode: KvMode = "full"


# --- what to time ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """What is asked for, checked as far as it can be without a model.

    Attributes:
        specs: policies; none: a telling few.
        modes: KV modes; none: `full`, and `truncate` for the cut model of the telling few.
        warnings: sentences on what is left out.
    """

    specs: Sequence[PolicySpec]
    modes: Sequence[KvMode]
    warnings: Sequence[str] = field(default_factory=list)

    def sides(self, num_layers: int) -> list[Side]:
        """The full model, and then every setting under every KV mode it goes with, each once."""
        if not self.specs:
            return [_full(), *_telling(num_layers, self.modes)]
        settings = settings_for(self.specs, num_layers)
        modes = self.modes or ("full",)
        return [_full(), *(Side(setting, mode) for setting in settings for mode in modes if _goes(type(setting), mode))]


def choose(policies: Sequence[str], modes: Sequence[KvMode]) -> Chosen:
    """Check policies and KV modes against each other, before anything heavy is loaded.

    What `all` names and cannot be timed is left out with a warning.

    Raises:
        EEBenchError: a policy is unknown, a bound, learns, or goes with none of the KV modes; or nothing is left.
    """
    if not policies:
        return Chosen([], modes)
    specs = [spec for spec in parse_policies(policies) if spec.policy.name != "full"]
    lenient = any(text.strip() == "all" for value in policies for text in value.split(","))
    kept, warnings = [], []
    for spec in specs:
        reason = _cannot(spec.policy, modes)
        if reason and not lenient and not spec.policy.learns:
            raise EEBenchError(f"{spec.policy.name} {reason}.")
        if reason:
            warnings.append(f"{spec.policy.name} left out: it {reason}.")
        else:
            kept.append(spec)
    if specs and not kept:
        raise EEBenchError(f"there is nothing to time: {warnings[0]}")
    apart = sorted({s.policy.name for s in kept if "truncate" in modes and not _goes(s.policy, "truncate")})
    if apart:
        warnings.append(f"truncate left out for {', '.join(apart)}: it cuts the model at one layer, as static does.")
    return Chosen(kept or [PolicySpec("full", find_policy("full"), {})], modes, warnings)


def _cannot(policy: type[ExitPolicy], modes: Sequence[KvMode]) -> str:
    """Why a policy cannot be timed; empty if it can."""
    if issubclass(policy, Bound):
        return "is a bound: it sees the layers to come, so it can be replayed and not executed"
    if policy.learns:
        return "learns from calibration documents, and timing has none"
    if modes and not any(_goes(policy, mode) for mode in modes):
        return "stops at several layers, and truncate cuts the model at one: take static, or another KV mode"
    return ""


def _goes(policy: type[ExitPolicy], mode: KvMode) -> bool:
    if policy.name == "full":
        return False  # the same under every mode, and there already
    return mode != "truncate" or policy.fixed


def _full() -> Side:
    return Side(find_policy("full")())


def _telling(num_layers: int, modes: Sequence[KvMode]) -> list[Side]:
    """A cut model, a policy that reads no head, one that looks at states, and one that reads a head at every layer."""
    half = ceil(num_layers / 2)
    texts = (
        f"static:layer={half}",
        f"schedule:first={num_layers},last={half}",
        "state:threshold=0.98",
        "confidence:threshold=0.9",
    )
    settings = settings_for(parse_policies(texts), num_layers)
    if not modes:
        return [Side(setting, "truncate" if setting.fixed else "full") for setting in settings]
    return [Side(setting, mode) for setting in settings for mode in modes if _goes(type(setting), mode)]


@dataclass(frozen=True)
class TimingPlan:
    """What is going to be timed.

    Attributes:
        base: models and generation tasks, and how they are loaded; its policies have no part in it.
        new_tokens: decoded after each prompt, whatever the tokens are.
        rounds: counted ones; one more, which is not, comes first and warms up.
        draft_length: the most tokens drafted before a check, in KV mode `verify`.
    """

    base: RunPlan
    chosen: Chosen
    new_tokens: int
    rounds: int
    draft_length: int


def plan(base: RunPlan, chosen: Chosen, new_tokens: int, rounds: int, draft_length: int = 4) -> TimingPlan:
    """Check that the tasks have prompts to decode from.

    Raises:
        EEBenchError: one asks for likelihoods.
    """
    for task in base.tasks:
        if not task.generates:
            raise EEBenchError(
                f"task {task.name} asks how likely given answers are, and timing needs prompts to go on from: take a "
                f"generation task, such as {DEFAULT_GENERATION_TASK}."
            )
    return TimingPlan(base, chosen, new_tokens, rounds, draft_length)


# --- timing ------------------------------------------------------------------------------------------------------


def measure(plan: TimingPlan, progress: Progress | None = None) -> Iterator[list[Timing]]:
    """Time a plan, a (model, task) at a time: the full model's timing comes first, then those of the settings.

    Raises:
        EEBenchError: a model cannot be had, read or executed, or does not go with a KV mode; or a policy raised.
    """
    from eebench.subject import load_subject

    for name in plan.base.models:
        subject = load_subject(name, plan.base.load_options, progress)
        for task in plan.base.tasks:
            yield _time(plan, subject, task, progress or Silent())


def _time(plan: TimingPlan, subject: Subject, task: LoadedTask, progress: Progress) -> list[Timing]:
    prompts = prompts_of(plan, subject, task)
    sides = plan.chosen.sides(subject.reader.num_layers)
    rounds = _Rounds(plan, subject, sides, prompts)
    text = f"Timing {len(sides)} settings on {len(prompts)} prompts of {task.name}, {plan.rounds + 1} rounds"
    with progress.stage(text, (plan.rounds + 1) * len(prompts)) as advance:
        rounds.run(0, advance)
        done = [rounds.run(number, advance) for number in range(1, plan.rounds + 1)]
    shared = _shared(plan, subject, task, prompts)
    by_side = list(zip(*done, strict=True))
    return [_timing(shared, side, turns, by_side[0], plan) for side, turns in zip(sides, by_side, strict=True)]


def prompts_of(plan: TimingPlan, subject: Subject, task: LoadedTask) -> list[Prompt]:
    """The prompts of a task, with nothing that could end an answer early."""
    documents = subject.encoder.encode_prompts(task.requests(plan.base.task_options, subject.encoder))
    return [
        replace(request.prompt, until=(), max_new_tokens=plan.new_tokens)
        for document in documents
        for request in document.requests
    ]


@dataclass(frozen=True)
class Turn:
    """One side's turn in one round, over all prompts."""

    executions: tuple[Execution, ...]

    @property
    def decode_seconds(self) -> float:
        return sum(execution.decode_seconds for execution in self.executions)

    @property
    def prefill_seconds(self) -> float:
        return sum(execution.prefill_seconds for execution in self.executions)

    @property
    def flops(self) -> float:
        return sum(execution.flops for execution in self.executions)


class _Rounds:
    """Rounds over the same prompts: after each prompt all sides take their turns, another one first each time."""

    def __init__(self, plan: TimingPlan, subject: Subject, sides: Sequence[Side], prompts: Sequence[Prompt]) -> None:
        from eebench.traces.prompts import StopRule, position_keys

        self._executor = subject.executor
        self._sides, self._prompts = sides, prompts
        self._draft_length = plan.draft_length
        self._no_end = StopRule(None, frozenset())
        self._keys = [position_keys("time", number, plan.new_tokens) for number in range(len(prompts))]

    def run(self, number: int, advance: Any) -> list[Turn]:
        """One round. [sides]"""
        executions: list[list[Execution]] = [[] for _ in self._sides]
        for place, (prompt, keys) in enumerate(zip(self._prompts, self._keys, strict=True)):
            for turn in range(len(self._sides)):
                at = (turn + number + place) % len(self._sides)
                side = self._sides[at]
                executions[at].append(
                    self._executor.execute(prompt, side.policy, self._no_end, keys, side.kv_mode, self._draft_length)
                )
            advance(1)
        return [Turn(tuple(done)) for done in executions]


def _shared(plan: TimingPlan, subject: Subject, task: LoadedTask, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """What all timings of a (model, task) have in common."""
    import torch

    from eebench.records.provenance import device_name

    loaded = subject.loaded
    return {
        "model": loaded.name,
        "model_id": loaded.model_id,
        "revision": loaded.revision,
        "dtype": loaded.dtype,
        "num_layers": subject.reader.num_layers,
        "task": task.name,
        "task_version": task.version,
        "num_fewshot": task.num_fewshot,
        "prompts_hash": _hash_of(prompts),
        "device_name": device_name(str(subject.reader.device)),
        "threads": torch.get_num_threads(),
        "n_prompts": len(prompts),
        "prompt_tokens": float(np.mean([len(prompt.source or prompt.tokens) for prompt in prompts])),
        "new_tokens": plan.new_tokens,
    }


def _hash_of(prompts: Sequence[Prompt]) -> str:
    return hashlib.sha256(repr([(prompt.source, prompt.tokens) for prompt in prompts]).encode()).hexdigest()


def _timing(
    shared: Mapping[str, Any], side: Side, turns: Sequence[Turn], full: Sequence[Turn], plan: TimingPlan
) -> Timing:
    builtin, policy_hash = source_hash(type(side.policy))
    own, whole = turns[-1].executions, full[-1].executions  # every round writes the same
    return Timing(
        **shared,
        policy=side.policy.name,
        kind=side.policy.kind,
        setting=side.policy.setting(),
        params=side.policy.params(),
        builtin=builtin,
        policy_hash=policy_hash,
        kv_mode=side.kv_mode,
        draft_length=plan.draft_length if side.kv_mode == "verify" else None,
        decode_seconds=[turn.decode_seconds for turn in turns],
        prefill_seconds=[turn.prefill_seconds for turn in turns],
        full_decode_seconds=[turn.decode_seconds for turn in full],
        flops=turns[-1].flops,
        full_flops=full[-1].flops,
        mean_exit_layer=float(np.concatenate([execution.exit_layer for execution in own]).mean()),
        departs=float(np.mean([a.tokens != b.tokens for a, b in zip(own, whole, strict=True)])),
    )
