"""Replay: decide a setting on a trace, in milliseconds and without the model."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eebench.errors import EEBenchError
from eebench.policy import Bools, Bound, ExitPolicy, Hindsight, Ints, LayerView
from eebench.statistics import layers_read


@dataclass(frozen=True)
class Decisions:
    """Where a setting stops.

    Attributes:
        exit_layer: the layer each position stops at, 1..L. [positions]
        lens_reads: how many layers' heads were read on the way, the one the answer is read from included. [positions]
    """

    exit_layer: Ints
    lens_reads: Ints


class Positions(Hindsight, Protocol):
    """Positions to be decided, and what every layer says there: a trace, or the nodes of a tree being decoded."""

    @property
    def num_positions(self) -> int: ...
    @property
    def position(self) -> Ints: ...
    @property
    def length(self) -> Ints: ...
    @property
    def key(self) -> NDArray[np.uint64]: ...
    def at_layer(self, name: str, layer: int, going: Bools) -> NDArray[Any]:
        """A statistic at one layer, from 1; only what stands where `going` will be used. [positions]"""
        ...


def replay(policy: ExitPolicy, positions: Positions) -> Decisions:
    """Decide `policy` at every position.

    Raises:
        EEBenchError: the policy raised, or answered something that is not one boolean per position.
    """
    if isinstance(policy, Bound):
        return _replay_bound(policy, positions)
    deciding = Deciding(policy, positions)
    for k in policy.layers_looked_at(positions.num_layers):
        deciding.look(k)
        if not deciding.going.any():
            break
    return deciding.decisions()


class Deciding:
    """One setting on its way up the layers at some positions.

    Attributes:
        going: where it has not stopped yet. [positions]
    """

    def __init__(self, policy: ExitPolicy, positions: Positions) -> None:
        self._policy = policy
        self._positions = positions
        self.going: Bools = np.ones(positions.num_positions, dtype=bool)
        self._source = _Charged(positions, self.going)
        self._state = SimpleNamespace()
        self._view: LayerView | None = None
        self._exit_layer = np.full(positions.num_positions, positions.num_layers, dtype=np.int16)
        self._reads_at_exit = np.zeros(positions.num_layers + 1, dtype=np.int16)

    def look(self, k: int) -> None:
        """Ask the policy at layer k; every layer it looks at must be asked, in order."""
        at = self._positions
        self._view = LayerView(self._source, k, self._view, at.position, at.length, at.key, self._state)
        stopping = self.going & _ask(self._policy, self._view)
        self._exit_layer[stopping] = k
        self._reads_at_exit[k] = len(self._source.layers_read | {k})
        self.going &= ~stopping  # in place: the source looks at the same array

    @property
    def reads_heads(self) -> bool:
        """Whether it has asked for a statistic that takes a read of a head."""
        return bool(self._source.layers_read)

    def decisions(self) -> Decisions:
        """Where it stopped; the last layer stops what is still going."""
        last = self._positions.num_layers
        self._reads_at_exit[last] = len(self._source.layers_read | {last})
        return Decisions(self._exit_layer, self._reads_at_exit[self._exit_layer])


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


class _Charged:
    """Positions that note which layers' heads have been read.

    Every position still going at a look is charged alike, so one set of layers serves them all: a position that stops
    at k has paid for the layers read up to k.
    """

    def __init__(self, positions: Positions, going: Bools) -> None:
        self._positions = positions
        self._going = going
        self.num_layers = positions.num_layers
        self.layers_read: set[int] = set()

    def statistic(self, name: str, layer: int) -> NDArray[Any]:
        values = self._positions.at_layer(name, layer, self._going)
        self.layers_read |= layers_read(name, layer)
        return values
