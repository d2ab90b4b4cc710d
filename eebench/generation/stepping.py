"""An answer while it is decoded: the policy's decision at each position, and what has been emitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from eebench.models.blocks import LayerReader
from eebench.policy import Bools, ExitPolicy
from eebench.replaying import Deciding
from eebench.statistics import Lens, find_statistic
from eebench.traces.prompts import Prompt, StopRule


class Position:
    """One position of an answer, decided as its layers come by: what a policy asks for is computed when it asks.

    Attributes:
        looks: after which blocks the policy is asked. [layers + 1], the first unused
    """

    num_positions = 1

    def __init__(
        self, reader: LayerReader, policy: ExitPolicy, looks: list[bool], t: int, length: int, key: NDArray[np.uint64]
    ) -> None:
        """
        Args:
            t: the position in the answer, from 0; `length` the longest it may have.
            key: the seed of its coins. [1]
        """
        self.num_layers = reader.num_layers
        self.looks = looks
        self.position = np.array([t], dtype=np.int32)
        self.length = np.array([length], dtype=np.int32)
        self.key = key
        self._reader = reader
        self._lenses: dict[int, Lens] = {}
        self._deciding = Deciding(policy, self)

    def stops(self, layer: int, before: Tensor, after: Tensor) -> bool:
        """Whether the policy stops at a layer, given the states before and after its block. [1, hidden]"""
        previous = None
        if layer > 1:
            previous = self._lenses.setdefault(layer - 1, self._lens(before, None))
        self._lenses[layer] = self._lens(after, previous)
        self._deciding.look(layer)
        return not self._deciding.going[0]

    def at_layer(self, name: str, layer: int, _going: Bools) -> NDArray[Any]:
        """A statistic of a layer that has come by. [1]"""
        known = find_statistic(name)
        kind = np.int32 if known.is_token else np.float32
        if known.looks_back and layer == 1:
            return np.full(1, known.no_value, dtype=kind)
        return known.compute(self._lenses[layer]).cpu().numpy().astype(kind)

    def all_layers(self, name: str) -> NDArray[Any]:
        """Hindsight is what execution does not have."""
        raise TypeError(f"{name} of later layers is not known yet")

    def token(self, layer: int, states: Tensor) -> int:
        """The most probable token at the layer it stopped at, read from the last of `states` unless it has been."""
        lens = self._lenses.get(layer) or self._lens(states[-1:], None)
        return int(lens.top1)

    @property
    def lens_reads(self) -> int:
        """Heads read until it stopped, the one the token is read from included."""
        return int(self._deciding.decisions().lens_reads[0])

    def _lens(self, state: Tensor, previous: Lens | None) -> Lens:
        return Lens(partial(self._reader.logits, state), state, previous)


class Answer:
    """An answer so far.

    Attributes:
        tokens: what has been emitted, with `exit_layer` and `lens_reads` of each.
        fixed_layer: the layer at which the policy stops everywhere, if it does.
        heads_read: heads read for it, those of no use included.
        drafted: tokens drafted before each check; `accepted` how many of them it kept.
    """

    def __init__(
        self, reader: LayerReader, prompt: Prompt, policy: ExitPolicy, stop: StopRule, keys: NDArray[np.uint64]
    ) -> None:
        self.prompt = prompt
        self.policy = policy
        self.tokens: list[int] = []
        self.exit_layer: list[int] = []
        self.lens_reads: list[int] = []
        self.heads_read = 0
        self.drafted: list[int] = []
        self.accepted: list[int] = []
        self._reader = reader
        self._stop = stop
        self._keys = keys
        looked_at = policy.layers_looked_at(reader.num_layers)
        self._looks = [k in looked_at for k in range(reader.num_layers + 1)]
        self.fixed_layer = self._fixed_layer() if policy.fixed else None
        if self.fixed_layer is not None:  # what it answers is known: it need not be asked on the way
            self._looks = [looks and k == self.fixed_layer for k, looks in enumerate(self._looks)]

    def _fixed_layer(self) -> int:
        position = self.position(0)
        nothing = Tensor()
        looked_at = (k for k, looks in enumerate(self._looks) if looks)
        return next((k for k in looked_at if position.stops(k, nothing, nothing)), self._reader.num_layers)

    def position(self, t: int) -> Position:
        """Position t of the answer, to be decided."""
        return Position(self._reader, self.policy, self._looks, t, self.prompt.max_new_tokens, self._keys[t : t + 1])

    @property
    def end(self) -> int:
        """How many tokens there are, the context included."""
        return len(self.prompt.tokens) + len(self.tokens)

    @property
    def ended(self) -> bool:
        """Whether it is complete."""
        return bool(self.tokens) and self._stop.ends(self.prompt, self.tokens)

    def would_end(self, drafts: Sequence[int]) -> bool:
        """Whether it would be complete with these tokens too."""
        return bool(drafts) and self._stop.ends(self.prompt, [*self.tokens, *drafts])

    def append(self, token: int, layer: int, lens_reads: int) -> None:
        """Emit a token."""
        self.tokens.append(token)
        self.exit_layer.append(layer)
        self.lens_reads.append(lens_reads)


@dataclass
class Drafts:
    """Tokens decoded with early exits that the whole model has not seen yet, with `exit_layer` and `lens_reads`."""

    tokens: list[int] = field(default_factory=list)
    exit_layer: list[int] = field(default_factory=list)
    lens_reads: list[int] = field(default_factory=list)

    def append(self, token: int, layer: int, lens_reads: int) -> None:
        """Draft a token."""
        self.tokens.append(token)
        self.exit_layer.append(layer)
        self.lens_reads.append(lens_reads)

    def agreed_by(self, own: list[int]) -> int:
        """How many drafts come before the first that the whole model has another token for. `own`: [drafts + 1]"""
        differ = (i for i, token in enumerate(self.tokens) if own[i] != token)
        return next(differ, len(self.tokens))
