"""The exit-policy protocol: what a policy is, what it may see, and how it declares its parameters.

A policy is an online rule. At every layer it looks at, it is shown the statistics of that layer and of the layers it
has looked at before, for many positions at once, and answers which positions stop. Replay and execution call the same
`stops`, with numpy arrays in both, so they cannot disagree about the policy.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

Kind = Literal["policy", "control", "bound"]
Sweep = Callable[[int], Sequence[Any]]
"""The values a parameter takes by default on a model of `num_layers` layers."""

Layer = Annotated[int, Field(ge=1, json_schema_extra={"layer": True})]
"""A parameter that names a layer, 1..L; a setting that names a layer the model does not have is refused."""


# --- parameters and their default sweeps -------------------------------------------------------------------------


def swept(default: Any, over: Sequence[Any] | Sweep, description: str = "", **bounds: Any) -> Any:
    """A parameter with the values it takes when the policy is named without parameters.

    Args:
        default: the value when other parameters are given but not this one.
        over: the default sweep, or a function from the model's number of layers to it.
        description: one line for `eebench policies show`.
        bounds: pydantic's `ge`, `gt`, `le`, `lt`.
    """
    sweep: Sweep = over if callable(over) else lambda _num_layers: over
    return Field(default, description=description, json_schema_extra={"sweep": sweep}, **bounds)  # type: ignore[dict-item]


def fitted(description: str = "") -> Any:
    """A parameter that `fit` fills in: plain numbers, kept with the results, never typed by a user."""
    return Field(None, description=description, json_schema_extra={"fitted": True})


def _rounded(value: float) -> float:
    """Four significant digits: a swept value reads well in a setting and means exactly what it says."""
    return float(f"{value:.4g}")


def linear(first: float, last: float, count: int) -> list[float]:
    """`count` evenly spaced values from `first` to `last`, both included."""
    return [_rounded(value) for value in np.linspace(first, last, count)]


def geometric(first: float, last: float, count: int) -> list[float]:
    """`count` values from `first` to `last` with a constant ratio, both included."""
    return [_rounded(value) for value in np.geomspace(first, last, count)]


def toward_one(furthest: float, nearest: float, count: int) -> list[float]:
    """`count` values that close in on 1: 1 - `furthest` to 1 - `nearest`, the distance to 1 in a constant ratio."""
    return [_rounded(1 - distance) for distance in np.geomspace(furthest, nearest, count)]


def every_layer(num_layers: int) -> list[int]:
    """Each layer of the model, 1..L."""
    return list(range(1, num_layers + 1))


def layer_fractions(*fractions: float) -> Sweep:
    """Layers at these fractions of the model's depth, at least 1, without repeats."""
    return lambda num_layers: sorted({max(1, math.ceil(fraction * num_layers)) for fraction in fractions})


# --- what a policy sees ------------------------------------------------------------------------------------------


class StatisticSource(Protocol):
    """Where a view's numbers come from: a trace in replay, the running model in execution."""

    num_layers: int

    def statistic(self, name: str, layer: int) -> NDArray[Any]:  # [positions]
        """The statistic at `layer`; asking is what makes it computed and charged.

        Raises:
            EEBenchError: nobody has registered a statistic of this name.
        """
        ...


class LayerView:
    """One layer as a policy sees it: every statistic is an attribute, an array over positions, not to be written to.

    Attributes:
        index: k, the layer, from 1.
        previous: the view of the layer looked at before this one, or None at the first look.
        position: t, the position in the answer, from 0. [positions]
        length: N, the longest length the answer may have. [positions]
        state: the policy's own running values for these positions, kept from look to look and empty at the first.
    """

    def __init__(
        self,
        source: StatisticSource,
        index: int,
        previous: LayerView | None,
        position: Ints,
        length: Ints,
        keys: NDArray[np.uint64],
        state: SimpleNamespace,
    ) -> None:
        self._source = source
        self._keys = keys
        self.index = index
        self.previous = previous
        self.position = position
        self.length = length
        self.state = state

    # The built-in statistics, spelled out so that editors and type checkers know them; registered ones come through
    # __getattr__ in the same way.

    @property
    def top1(self) -> Ints:
        """Id of the most probable token. [positions]"""
        return self._source.statistic("top1", self.index)

    @property
    def max_prob(self) -> Floats:
        """Probability of the most probable token. [positions]"""
        return self._source.statistic("max_prob", self.index)

    @property
    def top2_margin(self) -> Floats:
        """Probability of the most probable token less that of the second. [positions]"""
        return self._source.statistic("top2_margin", self.index)

    @property
    def entropy(self) -> Floats:
        """Entropy of the distribution, in nats. [positions]"""
        return self._source.statistic("entropy", self.index)

    @property
    def entropy_norm(self) -> Floats:
        """Entropy divided by ln V, 0..1. [positions]"""
        return self._source.statistic("entropy_norm", self.index)

    @property
    def state_cosine(self) -> Floats:
        """Cosine between the hidden states after layers k and k-1; has no value at layer 1. [positions]"""
        return self._source.statistic("state_cosine", self.index)

    @property
    def divergence(self) -> Floats:
        """Jensen-Shannon divergence, in nats, between layers k and k-1; has no value at layer 1. [positions]"""
        return self._source.statistic("divergence", self.index)

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._source.statistic(name, self.index)

    @property
    def num_layers(self) -> int:
        """L, the model's number of layers."""
        return self._source.num_layers

    def none(self) -> Bools:
        """Stop nowhere. [positions]"""
        return np.zeros(len(self.position), dtype=bool)

    def all(self) -> Bools:
        """Stop everywhere. [positions]"""
        return np.ones(len(self.position), dtype=bool)

    def uniform(self, seed: int) -> Floats:
        """A number in [0, 1) per position that depends on the position and the seed alone, whatever the batch."""
        return uniform(self._keys, seed)


class Hindsight(Protocol):
    """Statistics of all layers at once: for bounds, and for policies that learn (on calibration documents only)."""

    @property
    def num_layers(self) -> int:
        """L, the model's number of layers."""
        ...

    def all_layers(self, name: str) -> NDArray[Any]:  # [layers, positions]
        """The statistic at every layer."""
        ...


def uniform(keys: NDArray[np.uint64], seed: int) -> Floats:
    """SplitMix64 (Steele, Lea, Flood 2014) of each key and the seed, as a float in [0, 1). [positions]"""
    with np.errstate(over="ignore"):
        z = keys + np.uint64(seed % 2**64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


# --- policies ----------------------------------------------------------------------------------------------------


def kebab_case(class_name: str) -> str:
    """The name of a policy that gives itself none: MyPolicy is my-policy."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", class_name).lower()


class ExitPolicy(BaseModel, ABC):
    """When a position may leave the model. Subclass it, declare parameters as fields, and answer `stops`.

    A policy looks at layers `min_layer`, `min_layer + every`, ...; the last layer always stops, so `stops` need not
    care about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    name: ClassVar[str] = ""
    """What users type; the class name in kebab-case unless given."""
    kind: ClassVar[Kind] = "policy"
    """`control` and `bound` are shown on the board for comparison and marked as such."""
    formula: ClassVar[str] = ""
    """When it stops at layer k, in one line."""
    source: ClassVar[str] = ""
    """Where the rule was published."""
    learns: ClassVar[bool] = False
    """Whether `fit` must see calibration documents before it can be asked, whatever its parameters."""
    fixed: ClassVar[bool] = False
    """Whether a setting stops at the same layer everywhere, whatever it sees: then the model can be cut there."""

    min_layer: Layer = Field(1, description="first layer at which it may stop")
    every: int = Field(1, ge=1, description="looks at every n-th layer from min_layer on")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = kebab_case(cls.__name__)

    @abstractmethod
    def stops(self, layer: LayerView) -> Bools:
        """Which positions stop at this layer. [positions]"""

    @property
    def needs_fit(self) -> bool:
        """Whether this setting must be fitted; a policy may learn under some of its parameters only."""
        return self.learns

    def fit(self, calibration: Hindsight) -> Self:
        """The policy with its `fitted` parameters learned from calibration documents, and from nothing else.

        What is learned must not depend on the other parameters: one fit serves all settings of a run.
        """
        return self

    def layers_looked_at(self, num_layers: int) -> range:
        """The layers at which `stops` is asked, the last one left out because it always stops."""
        return range(self.min_layer, num_layers, self.every)

    def params(self) -> dict[str, Any]:
        """All parameters by name, as plain JSON values."""
        return self.model_dump(mode="json")

    def setting(self) -> str:
        """The setting in the grammar of the command line: `entropy:threshold=0.5`, defaults of no sweep left out."""
        own_first = sorted(type(self).model_fields, key=ExitPolicy.model_fields.__contains__)
        shown = [f"{name}={_shown(getattr(self, name))}" for name in own_first if self._is_shown(name)]
        return f"{self.name}:{','.join(shown)}" if shown else self.name

    def _is_shown(self, name: str) -> bool:
        extra = field_extra(type(self), name)
        if extra.get("fitted"):
            return False
        return "sweep" in extra or getattr(self, name) != type(self).model_fields[name].default


class Bound(ExitPolicy):
    """A bound on what any policy could do: it sees the layers to come, is shown, and is never ranked."""

    kind: ClassVar[Kind] = "bound"

    @abstractmethod
    def could_stop(self, hindsight: Hindsight) -> Bools:
        """At which layers each position could stop; it takes the first of those it looks at. [layers, positions]"""

    def stops(self, layer: LayerView) -> Bools:
        raise TypeError(f"{self.name} is a bound: it sees the future and cannot be asked layer by layer")


def field_extra(policy: type[ExitPolicy], name: str) -> dict[str, Any]:
    """What the declaration of a parameter says beyond its type: its `sweep`, whether it is `fitted` or a `layer`."""
    extra = policy.model_fields[name].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
