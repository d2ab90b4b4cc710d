"""Replay: decide a setting on a trace, in milliseconds and without the model."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.errors import EEBenchError
from eebench.policy import Bools, Bound, ExitPolicy, Hindsight, Ints, LayerView
from eebench.statistics import layers_read
from eebench.traces import Trace


@dataclass(frozen=True)
class Decisions:
    """Where a setting stops.

    Attributes:
        exit_layer: the layer each position stops at, 1..L. [positions]
        lens_reads: how many layers' heads were read on the way, the one the answer is read from included. [positions]
    """

    exit_layer: Ints
    lens_reads: Ints


def replay(policy: ExitPolicy, trace: Trace) -> Decisions:
    """Decide `policy` at every position of `trace`.

    Raises:
        EEBenchError: the policy raised, or answered something that is not one boolean per position.
    """
    if isinstance(policy, Bound):
        return _replay_bound(policy, trace)
    source = _ChargedTrace(trace)
    exit_layer = np.full(trace.num_positions, trace.num_layers, dtype=np.int16)
    reads_at_exit = np.zeros(trace.num_layers + 1, dtype=np.int16)
    going = np.ones(trace.num_positions, dtype=bool)
    view: LayerView | None = None
    state = SimpleNamespace()
    for k in policy.layers_looked_at(trace.num_layers):
        view = LayerView(source, k, view, trace.position, trace.length, trace.key, state)
        stopping = going & _ask(policy, view)
        exit_layer[stopping] = k
        reads_at_exit[k] = len(source.layers_read | {k})
        going &= ~stopping
        if not going.any():
            break
    reads_at_exit[trace.num_layers] = len(source.layers_read | {trace.num_layers})
    return Decisions(exit_layer, reads_at_exit[exit_layer])


def _replay_bound(policy: Bound, trace: Hindsight) -> Decisions:
    """A bound stops at the first layer it may take; it is charged the one read its answer comes from."""
    could = policy.could_stop(trace).copy()  # [layers, positions]
    looked_at = np.zeros(trace.num_layers, dtype=bool)
    looked_at[[k - 1 for k in policy.layers_looked_at(trace.num_layers)]] = True
    could &= looked_at[:, None]
    could[-1] = True
    exit_layer = could.argmax(axis=0).astype(np.int16) + 1
    return Decisions(exit_layer, np.ones_like(exit_layer))


def _ask(policy: ExitPolicy, view: LayerView) -> Bools:
    """The policy's answer at one layer, with anything wrong about it said in a sentence."""
    try:
        answer = np.asarray(policy.stops(view))
    except EEBenchError:
        raise
    except Exception as error:  # a contributor's code may raise anything
        raise EEBenchError(
            f"policy {policy.setting()} raised {type(error).__name__} at layer {view.index}: {error}; mend its `stops`."
        ) from error
    if answer.dtype != bool or answer.shape != view.position.shape:
        raise EEBenchError(
            f"policy {policy.setting()} answered {answer.dtype} of shape {list(answer.shape)} at layer {view.index}; "
            f"`stops` must return one boolean per position, shape {list(view.position.shape)}."
        )
    return answer


class _ChargedTrace:
    """A trace that notes which layers' heads have been read.

    Every position still going at a look is charged alike, so one set of layers serves them all: a position that stops
    at k has paid for the layers read up to k.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.num_layers = trace.num_layers
        self.layers_read: set[int] = set()

    def statistic(self, name: str, layer: int) -> NDArray[Any]:
        values = self._trace.all_layers(name)
        self.layers_read |= layers_read(name, layer)
        row: NDArray[Any] = values[layer - 1]
        return row
