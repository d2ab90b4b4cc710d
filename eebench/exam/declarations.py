"""What the entry exam asks of a policy's file: its imports, its parameters, its words, its speed, what it learns."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from eebench.errors import EEBenchError
from eebench.exam.candidate import (
    CALIBRATION_POSITIONS,
    LAYERS,
    POSITIONS,
    Broken,
    Candidate,
    Seen,
    counted,
    values_of,
    with_values,
)
from eebench.exam.traces import equals, likely, many, rows
from eebench.fitting import fit_all
from eebench.plugins.installed import NAME
from eebench.plugins.registry import KINDS
from eebench.policy import ExitPolicy, field_extra
from eebench.replaying import replay
from eebench.spec import PolicySpec, parameters, parse_policies, settings_for
from eebench.traces.trace import Trace

DEPTHS = (1, 2, 12, 32, 48)
"""Numbers of layers of models that a default sweep should be for."""

MOST_SETTINGS_TYPED = 200

SPEED_LAYERS, SPEED_POSITIONS, SPEED_SECONDS = 12, 1_000_000, 60.0
"""A replay at so many positions of so many layers should take no longer."""

ROUGH_SECONDS = 0.5
"""A replay of the exam's own few positions should take no longer, since it makes thousands of them."""

SLOW = "decide with numpy on whole arrays, without a loop over positions"


def loads_without_torch(candidate: Candidate) -> Seen:
    """Policies are listed and replayed without a deep-learning library, so none may come with a policy."""
    for how, imported in (("importing", candidate.child["imported"]), ("deciding with", candidate.child["later"])):
        if imported:
            change = "write it with numpy: what a policy sees are numpy arrays"
            raise Broken(f"{how} it imports {' and '.join(imported)}", change)
    return Seen("a fresh process imports it, and decides with it, without torch, transformers and lm_eval")


# --- parameters --------------------------------------------------------------------------------------------------


def round_trip(candidate: Candidate) -> Seen:
    """A setting can be typed as it is shown, and read back from the JSON that is kept with results."""
    settings = [*candidate.named[:MOST_SETTINGS_TYPED], *candidate.unfitted, *candidate.looking_elsewhere]
    for setting in settings:
        change = "keep parameters plain (numbers, words, true or false), and `setting` and `params` as they are"
        _check_typed(setting, candidate.typed(setting), change)
        read = type(setting).model_validate(json.loads(json.dumps(setting.params(), allow_nan=False)))
        if values_of(read) != values_of(setting):
            raise Broken(f"{setting.setting()} comes back from its JSON as {read.params()}", change)
    return Seen(f"{counted(dict.fromkeys(settings))}: the same when typed as shown, and when read back from JSON")


def _check_typed(setting: ExitPolicy, text: str, change: str) -> None:
    try:
        typed = settings_for(parse_policies([text]), num_layers=1000)
    except EEBenchError as error:
        raise Broken(f"{setting.setting()} cannot be typed: {error.message.rstrip('.')}", change) from None
    if list(map(values_of, typed)) != [values_of(setting)]:
        means = typed[0].params() if len(typed) == 1 else counted(typed)
        raise Broken(f"'{text}' means {means}, and not {setting.params()}", change)


def has_a_sweep(candidate: Candidate) -> Seen:
    """Named alone it means some settings, on a model of any depth: they are its curve on the board."""
    policy = candidate.policy
    change = "declare what trades layers for fidelity as swept(default, over=values)"
    try:
        counts = [len(PolicySpec(policy.name, policy, {}).settings(layers)) for layers in DEPTHS]
    except EEBenchError as error:
        raise Broken(error.message.rstrip("."), change) from None
    if max(counts) > 1:
        fewest, most = min(counts), max(counts)
        how_many = f"{most}" if fewest == most else f"{fewest} to {most}"
        return Seen(f"{how_many} settings on models of {DEPTHS[0]} to {DEPTHS[-1]} layers")
    own = [name for name in parameters(policy) if name not in ExitPolicy.model_fields]
    if own and policy.kind == "policy":
        raise Broken(f"one setting, although it takes {', '.join(own)}", change)
    why = "it has no parameter to sweep" if not own else f"a {policy.kind} is shown for comparison, without a curve"
    return Seen(f"one setting: {why}")


# --- words -------------------------------------------------------------------------------------------------------


def says_what_it_is(candidate: Candidate) -> Seen:
    """The board and `eebench policies` show a name, a formula, a source and a sentence."""
    policy = candidate.policy
    if not NAME.fullmatch(policy.name):
        raise Broken(f"'{policy.name}' cannot be typed as a name", "give it a `name` of letters, digits, - and _")
    words = {"formula": policy.formula, "source": policy.source, "docstring": policy.__doc__ or ""}
    missing = [what for what, text in words.items() if not text.strip()]
    if missing:
        raise Broken(f"it has no {' and no '.join(missing)}", "say when it stops, and where that was published")
    if policy.kind not in KINDS:
        raise Broken(f"its kind is '{policy.kind}'", f"leave `kind` out, or make it one of {', '.join(KINDS)}")
    if "\n" in policy.formula.strip():
        raise Broken("its formula goes over several lines", "say in one line when it stops at layer k")
    return Seen(f"{policy.formula}; {policy.source}")


# --- speed -------------------------------------------------------------------------------------------------------


def is_fast(candidate: Candidate) -> Seen:
    """A replay of a large trace, under the setting that stops last, is a matter of seconds."""
    some = likely(SPEED_LAYERS, POSITIONS)
    setting = max(candidate.settings(SPEED_LAYERS), key=lambda tried: replay(tried, some).exit_layer.mean())
    work = f"{SPEED_POSITIONS:,} positions of {SPEED_LAYERS} layers, {setting.setting()}"
    expected = 100 * _seconds(setting, many(SPEED_LAYERS, SPEED_POSITIONS // 100))
    if expected > 4 * SPEED_SECONDS:  # a hundredth tells it roughly, and nobody should wait for the rest
        raise Broken(f"it would take about {expected:,.0f} s for {work}", SLOW)
    seconds = _seconds(setting, many(SPEED_LAYERS, SPEED_POSITIONS))
    if seconds > SPEED_SECONDS:
        raise Broken(f"it takes {seconds:,.0f} s for {work}", SLOW)
    rate = SPEED_POSITIONS / seconds
    figures = {"positions_per_second": round(rate), "seconds": round(seconds, 4)}
    return Seen(f"{rate:,.0f} positions per second ({seconds:.3g} s for {work})", figures)


def check_roughly_fast(candidate: Candidate) -> None:
    """Raise where a few positions take so long that the exam itself would not end.

    Raises:
        Broken: they do.
    """
    setting, trace = with_values(candidate.settings()[0]), likely(LAYERS, POSITIONS)
    seconds = _seconds(setting, trace)
    if seconds > ROUGH_SECONDS:
        raise Broken(
            f"it takes {seconds:.3g} s for {POSITIONS} positions of {LAYERS} layers, {setting.setting()}", SLOW
        )


def _seconds(setting: ExitPolicy, trace: Trace) -> float:
    replay(setting, rows(trace, slice(100)))  # what it imports and prepares on first use does not count
    start = time.perf_counter()
    replay(setting, trace)
    return time.perf_counter() - start


# --- what is learned ---------------------------------------------------------------------------------------------


def learns_plain_numbers(candidate: Candidate) -> Seen:
    """What a policy learns comes from the calibration positions alone, and is kept as plain finite numbers."""
    learners = [setting for setting in candidate.unfitted if setting.needs_fit]
    if not learners:
        return Seen("nothing: it needs no fit")
    calibration = likely(LAYERS, CALIBRATION_POSITIONS, seed=9)
    first, *others = [_learned(setting, calibration) for setting in (*learners, learners[0])]
    if not equals(calibration, likely(LAYERS, CALIBRATION_POSITIONS, seed=9)):
        raise Broken("its `fit` writes into what it is shown", "copy an array first")
    _check_plain(first)
    if any(other != first for other in others):
        change = "let `fit` depend on the calibration positions alone: one fit serves all settings of a run"
        raise Broken("it learns something else when fitted again or with other parameters", change)
    _learned(learners[0], likely(LAYERS, 1))  # few documents must do
    count = sum(map(_count, first.values()))
    return Seen(f"{', '.join(first)}: {count} numbers from {CALIBRATION_POSITIONS} positions of {LAYERS} layers")


def _learned(setting: ExitPolicy, calibration: Trace) -> dict[str, Any]:
    """Fitted parameter -> what it holds after a fit."""
    (made,) = fit_all([setting], calibration)
    policy = type(setting)
    return {name: getattr(made, name) for name in policy.model_fields if field_extra(policy, name).get("fitted")}


def _check_plain(learned: dict[str, Any]) -> None:
    if all(value is None for value in learned.values()):
        raise Broken("nothing is kept of what it learns", "declare what `fit` fills in as fitted(), and fill it in")
    for name, value in learned.items():
        if not _is_plain(value):
            change = "keep plain finite numbers, as in tuple(float(w) for w in weights)"
            raise Broken(f"{name} holds what is no plain finite number: {value!r:.60}", change)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and _is_plain(list(value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _count(value: Any) -> int:
    """How many numbers there are in it."""
    if isinstance(value, dict):
        value = list(value.values())
    return sum(map(_count, value)) if isinstance(value, list | tuple) else int(value is not None)
