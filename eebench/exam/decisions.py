"""What the entry exam asks of a policy's decisions: that they repeat, look back only, and are each position's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from eebench.errors import EEBenchError
from eebench.exam.candidate import LAYERS, POSITIONS, Broken, Candidate, Seen, counted, values_of, with_values
from eebench.exam.traces import above, all_at, equals, extreme, likely, rows
from eebench.policy import Bound, ExitPolicy
from eebench.replaying import Decisions, replay
from eebench.traces.trace import Trace

LOOKS = ((1, 1), (2, 1), (3, 1), (1, 2), (2, 3), (LAYERS, 1))
"""Values of min_layer and every."""

_REPEAT = "toss coins with layer.uniform(seed), and keep running values in layer.state, never on the policy"


def deterministic(candidate: Candidate) -> Seen:
    """The same trace gives the same decisions: asked again, made anew, and in another process."""
    decided = [_decided_again(setting) for setting in candidate.settings()]
    child = candidate.child
    if child["decided"] != decided:
        how = f"raised {child['raised']}" if child["raised"] else "decides otherwise"
        raise Broken(f"in another process it {how}", _REPEAT)
    return Seen(f"{counted(decided)}: the same when asked again, made anew, and in another process")


def _decided_again(setting: ExitPolicy) -> list[int]:
    trace = likely(LAYERS, POSITIONS)
    first = replay(setting, trace)
    if not equals(trace, likely(LAYERS, POSITIONS)):
        raise Broken(f"{setting.setting()} writes into what it is shown", "copy an array first")
    replay(setting, likely(LAYERS, POSITIONS, seed=1))
    anew = type(setting).model_construct(**values_of(setting))
    for how, again in (("asked again", setting), ("made anew", anew)):
        different = _differing(first, replay(again, trace))
        if different:
            raise Broken(f"{setting.setting()}, {how}, decides otherwise at {_of_all(different)}", _REPEAT)
    exit_layers: list[int] = first.exit_layer.tolist()
    return exit_layers


def causal(candidate: Candidate) -> Seen:
    """What a policy decides up to layer k does not change with what the layers above k say."""
    if issubclass(candidate.policy, Bound):
        if candidate.policy.kind != "bound":
            raise Broken("it sees the layers to come, and would be ranked", 'leave its `kind` at "bound"')
        return Seen("exempt: a bound sees the layers to come by its nature, and is never ranked")
    others = (likely(LAYERS, POSITIONS, seed=1), all_at(0, LAYERS, POSITIONS), all_at(1, LAYERS, POSITIONS))
    settings = candidate.settings()
    for setting, k, other in product(settings, range(1, LAYERS), others):
        _check_up_to(k, setting, other)
    return Seen(f"{counted(settings)}: no decision changes when later layers say something else")


def _check_up_to(k: int, setting: ExitPolicy, other: Trace) -> None:
    trace = likely(LAYERS, POSITIONS)
    before, after = (_up_to(k, replay(setting, shown)) for shown in (trace, above(trace, k, other)))
    different = _differing(before, after)
    if different:
        raise Broken(
            f"{setting.setting()} decides otherwise at {_of_all(different)} up to layer {k} when the layers above it "
            f"say something else",
            "decide by the layer that is shown and by layer.previous, never by a layer above",
        )


def one_by_one(candidate: Candidate) -> Seen:
    """Every position is decided by itself: alone, among others, and in whatever order."""
    shuffled = np.random.default_rng(0).permutation(POSITIONS)
    orders: dict[str, list[NDArray[Any]]] = {
        "one at a time": [np.array([i]) for i in range(POSITIONS)],
        "in reverse order": [np.arange(POSITIONS)[::-1]],
        "shuffled in parts": np.array_split(shuffled, 4),
    }
    settings = candidate.settings()
    for setting, (how, parts) in product(settings, orders.items()):
        _check_parts(setting, parts, how)
    return Seen(f"{counted(settings)}: alike at once, {', '.join(orders)}")


def _check_parts(setting: ExitPolicy, parts: Sequence[NDArray[Any]], how: str) -> None:
    trace = likely(LAYERS, POSITIONS)
    whole = replay(setting, trace)
    of_parts = [replay(setting, rows(trace, part)) for part in parts]
    order = np.concatenate(parts)
    different = _differing(
        Decisions(whole.exit_layer[order], whole.lens_reads[order]),
        Decisions(
            np.concatenate([part.exit_layer for part in of_parts]),
            np.concatenate([part.lens_reads for part in of_parts]),
        ),
    )
    if different:
        raise Broken(
            f"{setting.setting()} decides otherwise, or reads other heads, at {_of_all(different)} when asked {how}",
            "let no position's answer depend on the others: no mean, maximum, order or count over positions",
        )


def honours_looks(candidate: Candidate) -> Seen:
    """It stops only at min_layer, min_layer + every, ..., and at L."""
    tried = {looks for setting, looks in product(candidate.settings(), LOOKS) if _looks_only_there(setting, *looks)}
    if len(tried) < 2:
        raise Broken("it refuses most values of min_layer and every", "let users choose the layers it looks at")
    return Seen(f"{len(tried)} pairs of values: it looks and stops only where they say")


def _looks_only_there(setting: ExitPolicy, min_layer: int, every: int) -> bool:
    """Whether a setting takes these values, and then keeps to them."""
    try:
        made = with_values(setting, min_layer=min_layer, every=every)
    except ValidationError:  # a policy may need more layers below it than others
        return False
    looks = {*range(min_layer, LAYERS, every)}
    stops = {*replay(made, likely(LAYERS, POSITIONS)).exit_layer.tolist()}
    if not stops <= {*looks, LAYERS} or {*made.layers_looked_at(LAYERS)} != looks:
        raise Broken(
            f"{setting.setting()} with min_layer={min_layer} and every={every} looks or stops elsewhere",
            "leave `min_layer`, `every` and `layers_looked_at` as they are",
        )
    if made.fixed and len(stops) > 1:
        raise Broken(f"it is declared `fixed`, and stops at {len(stops)} layers", "leave `fixed` as it is")
    return True


def handles_extremes(candidate: Candidate) -> Seen:
    """Numbers at the ends of their range, and traces as small as they come, are decided without making NaN."""
    traces = {
        "each statistic at one end of its range": extreme(LAYERS, POSITIONS),
        "all at the lower end": all_at(0, LAYERS, POSITIONS),
        "all at the upper end": all_at(1, LAYERS, POSITIONS),
        "an empty trace": likely(LAYERS, 0),
        "a single position": likely(LAYERS, 1),
        "1 layer": extreme(1, POSITIONS),
        "2 layers": extreme(2, POSITIONS),
    }
    for what, trace in traces.items():
        try:
            for setting in candidate.settings(trace.num_layers):
                _check_extreme(setting, trace, what)
        except EEBenchError as error:
            raise EEBenchError(f"{what}: {error.message}") from (error.__cause__ or error)
    return Seen(f"no NaN, and an answer per position: {', '.join(traces)}")


def _check_extreme(setting: ExitPolicy, trace: Trace, what: str) -> None:
    try:
        with np.errstate(invalid="raise"):
            decided = replay(setting, trace)
    except EEBenchError as error:
        if not isinstance(error.__cause__, FloatingPointError):
            raise
        change = "clip a number before its logarithm, root or quotient: NaN never passes a threshold"
        raise Broken(f"{what}: {setting.setting()} makes NaN ({error.__cause__})", change) from None
    if len(decided.exit_layer) != trace.num_positions:
        raise Broken(f"{what}: it decides {len(decided.exit_layer)} positions", "answer once per position")


# --- decisions, compared -----------------------------------------------------------------------------------------


def _up_to(k: int, decided: Decisions) -> Decisions:
    """The decisions made up to layer k; all that go on beyond it are one."""
    stopped = decided.exit_layer <= k
    return Decisions(np.where(stopped, decided.exit_layer, 0), np.where(stopped, decided.lens_reads, 0))


def _differing(one: Decisions, other: Decisions) -> int:
    """At how many positions two decisions differ, in the exit layer or in what was read."""
    return int(((one.exit_layer != other.exit_layer) | (one.lens_reads != other.lens_reads)).sum())


def _of_all(count: int) -> str:
    return f"{count} of {POSITIONS} positions"
