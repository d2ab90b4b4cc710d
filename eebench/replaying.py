"""Replay: decide a setting on a trace, in milliseconds and without the model."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eebench.errors import EEBenchError
from eebench.plugins.modules import not_theirs, one_line
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
    for k in _layers_looked_at(policy, positions.num_layers):
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
        self._shown = (_read_only(positions.position), _read_only(positions.length), _read_only(positions.key))
        self.going: Bools = np.ones(positions.num_positions, dtype=bool)
        self._source = _Charged(positions, self.going)
        self._state = SimpleNamespace()
        self._view: LayerView | None = None
        self._exit_layer = np.full(positions.num_positions, positions.num_layers, dtype=np.int16)
        self._reads_at_exit = np.zeros(positions.num_layers + 1, dtype=np.int16)

    def look(self, k: int) -> None:
        """Ask the policy at layer k; every layer it looks at must be asked, in order."""
        self._view = LayerView(self._source, k, self._view, *self._shown, self._state)
        stopping = self.going & _ask(self._policy, self._view, self.going.shape)
        self._exit_layer[stopping] = k
        self._reads_at_exit[k] = len(self._source.layers_read | {k})
        self.going &= ~stopping  # in place: the source looks at the same array

    @property
    def reads_heads(self) -> bool:
        """Whether it has asked for a statistic that takes a read of a head."""
        return bool(self._source.layers_read)

    def decisions(self) -> Decisions:
        """Where it stopped; the last layer stops what is still going."""
        last = self._source.num_layers
        self._reads_at_exit[last] = len(self._source.layers_read | {last})
        return Decisions(self._exit_layer, self._reads_at_exit[self._exit_layer])


def _replay_bound(policy: Bound, positions: Positions) -> Decisions:
    """A bound stops at the first layer it may take; it is charged the one read its answer comes from."""
    try:
        could = np.array(policy.could_stop(ReadOnly(positions)))  # [layers, positions]
    except BaseException as error:  # a contributor's code may raise anything
        raise raised(_shown(policy), error, "at all layers", "`could_stop`") from error
    expected = (positions.num_layers, positions.num_positions)
    if could.dtype != bool or could.shape != expected:
        raise EEBenchError(
            f"policy {_shown(policy)} answered {could.dtype} of shape {list(could.shape)}; `could_stop` must return "
            f"one boolean per layer and position, shape {list(expected)}."
        )
    looked_at = np.zeros(positions.num_layers, dtype=bool)
    looked_at[[k - 1 for k in _layers_looked_at(policy, positions.num_layers)]] = True
    could &= looked_at[:, None]
    could[-1] = True
    exit_layer = could.argmax(axis=0).astype(np.int16) + 1
    return Decisions(exit_layer, np.ones_like(exit_layer))


def _ask(policy: ExitPolicy, view: LayerView, shape: tuple[int, ...]) -> Bools:
    """The policy's answer at one layer, with anything wrong about it said in a sentence."""
    k = view.index
    try:
        answer = np.asarray(policy.stops(view))
    except BaseException as error:  # a contributor's code may raise anything
        raise raised(_shown(policy), error, f"at layer {k}", "`stops`") from error
    if answer.dtype != bool or answer.shape != shape:
        raise EEBenchError(
            f"policy {_shown(policy)} answered {answer.dtype} of shape {list(answer.shape)} at layer {k}; "
            f"`stops` must return one boolean per position, shape {list(shape)}."
        )
    return answer


def raised(policy: str, error: BaseException, when: str, method: str) -> EEBenchError:
    """What is said of a policy whose code raised; an interrupt by the person at the keyboard goes on as it is.

    Raises:
        KeyboardInterrupt: the error is one.
    """
    not_theirs(error)
    name, _colon, said = one_line(error).partition(": ")
    if isinstance(error, EEBenchError):  # made anew: theirs may say that the program ends well
        return EEBenchError(f"{said}.")
    if isinstance(error, ValueError) and "read-only" in said:  # numpy's words
        return EEBenchError(
            f"policy {policy} writes into what it is shown {when}: copy an array before changing it in its {method}."
        )
    return EEBenchError(f"policy {policy} raised {name} {when}{': ' if said else ''}{said}; mend its {method}.")


def _shown(policy: ExitPolicy) -> str:
    """The setting, or the policy's name where the code that says it is at fault."""
    try:
        return str(policy.setting())
    except BaseException as error:  # a contributor's code may raise anything
        not_theirs(error)
        return str(type(policy).name)


def _layers_looked_at(policy: ExitPolicy, num_layers: int) -> list[int]:
    try:
        return list(policy.layers_looked_at(num_layers))
    except BaseException as error:  # a contributor's code may raise anything
        raise raised(_shown(policy), error, f"on a model of {num_layers} layers", "`layers_looked_at`") from error


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers, not to be written to: what one policy changed would change what all others are shown."""
    view = values.view()
    view.setflags(write=False)
    return view


class ReadOnly:
    """Hindsight that cannot be written to."""

    def __init__(self, hindsight: Hindsight) -> None:
        self._hindsight = hindsight

    @property
    def num_layers(self) -> int:
        """L, the model's number of layers."""
        return self._hindsight.num_layers

    def all_layers(self, name: str) -> NDArray[Any]:
        """The statistic at every layer. [layers, positions]"""
        return _read_only(self._hindsight.all_layers(name))


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
        return _read_only(values)
