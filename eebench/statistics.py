"""The statistics of a layer: what a trace keeps of the lens, and what policies may ask for.

A statistic is a function from a `Lens` (a batch of positions read at one layer) to one number per position. Register
another with `@statistic` and every trace made from then on holds it; policies ask for it by name.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from eebench.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor


class Lens:
    """A batch of positions read at layer k: the model's own tail applied to the states after block k.

    Attributes:
        state: the hidden states after block k. [positions, hidden]
        previous: the same positions at layer k-1, or None at layer 1.
    """

    def __init__(self, read: Callable[[], Tensor], state: Tensor, previous: Lens | None) -> None:
        """
        Args:
            read: the logits, [positions, vocabulary], float32 and the lens's own to overwrite; called at most once,
                and only if a statistic needs them.
        """
        self._read = read
        self.state = state
        self.previous = previous

    def at(self, rows: Tensor) -> Lens:
        """Some of the positions, without reading the head again; it has no layer before it."""
        some = Lens(self._read, self.state[rows], None)
        some.probs = self.probs[rows]
        some._total, some._max = self._total[rows], (self._max[0][rows], self._max[1][rows])
        return some

    @cached_property
    def _logits(self) -> Tensor:
        return self._read()

    @cached_property
    def _max(self) -> tuple[Tensor, Tensor]:
        values, ids = self._logits.max(dim=-1)
        return values, ids

    @property
    def top1(self) -> Tensor:
        """Ids of the most probable tokens. [positions]"""
        return self._max[1]

    @cached_property
    def probs(self) -> Tensor:
        """The distribution, float32. [positions, vocabulary]"""
        # In place: vocabulary × positions is the large thing in memory, so the logits become the probabilities.
        exp: Tensor = self._logits.sub_(self._max[0].unsqueeze(-1)).exp_()
        self._total = exp.sum(dim=-1)  # [positions]
        del self._logits
        probs: Tensor = exp.div_(self._total.unsqueeze(-1))
        return probs

    @cached_property
    def log_total(self) -> Tensor:
        """ln of the sum of exp(logits). [positions]"""
        _ = self.probs
        return self._max[0] + self._total.log()

    @cached_property
    def max_prob(self) -> Tensor:
        """Probabilities of the most probable tokens. [positions]"""
        _ = self.probs
        return self._total.reciprocal()

    @cached_property
    def entropy(self) -> Tensor:
        """Entropies in nats. [positions]"""
        return _entropy(self.probs)


def _entropy(probs: Tensor) -> Tensor:
    """-sum p ln p in nats, 0 where a probability underflows: never NaN. [positions, vocabulary] -> [positions]

    Clamped logs are what `torch.special.entr` gives, several times faster on a CPU, where `entr` is not vectorised.
    """
    import torch

    logs = probs.clamp(min=torch.finfo(probs.dtype).tiny).log_()
    return -logs.mul_(probs).sum(dim=-1)


@dataclass(frozen=True)
class Statistic:
    """A statistic and what asking for it costs.

    Attributes:
        reads_head: whether the output head must be read for it.
        looks_back: whether it also needs layer k-1, and so has no value at layer 1.
        no_value: what a trace holds where there is no value: the end of the range that means "not sure".
    """

    name: str
    describes: str
    compute: Callable[[Lens], Tensor]
    reads_head: bool = True
    looks_back: bool = False
    no_value: float = 0.0
    is_token: bool = False


REGISTRY: dict[str, Statistic] = {}


def statistic(
    *, reads_head: bool = True, looks_back: bool = False, no_value: float = 0.0, is_token: bool = False
) -> Callable[[Callable[[Lens], Tensor]], Callable[[Lens], Tensor]]:
    """Register a function from a `Lens` to [positions] as the statistic of its name.

    Args:
        reads_head: False if the hidden states suffice; a policy that asks for nothing else pays for no head.
        looks_back: True if it uses `lens.previous`; layer 1 then holds `no_value`.
        no_value: stored where there is no value.
        is_token: the values are token ids (int32), not numbers (float32).
    """

    def register(compute: Callable[[Lens], Tensor]) -> Callable[[Lens], Tensor]:
        name = compute.__name__
        describes = (compute.__doc__ or "").strip().split("\n")[0]
        REGISTRY[name] = Statistic(name, describes, compute, reads_head, looks_back, no_value, is_token)
        return compute

    return register


def fingerprint() -> str:
    """Names and code of all registered statistics, hashed: a trace is made again when one of them changes."""
    digest = hashlib.sha256()
    for name in sorted(REGISTRY):
        digest.update(f"{name}:{inspect.getsource(REGISTRY[name].compute)}".encode())
    return digest.hexdigest()


def find_statistic(name: str) -> Statistic:
    """The registered statistic of this name.

    Raises:
        EEBenchError: there is none.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        raise unknown("statistic", name, REGISTRY) from None


def layers_read(name: str, layer: int) -> set[int]:
    """The layers whose heads must be read to know a statistic at `layer`."""
    wanted = find_statistic(name)
    if not wanted.reads_head:
        return set()
    if not wanted.looks_back:
        return {layer}
    return {layer - 1, layer} if layer > 1 else set()


@statistic(is_token=True)
def top1(lens: Lens) -> Tensor:
    """Id of the most probable token."""
    return lens.top1


@statistic()
def max_prob(lens: Lens) -> Tensor:
    """Probability of the most probable token."""
    return lens.max_prob


@statistic()
def top2_margin(lens: Lens) -> Tensor:
    """Probability of the most probable token less that of the second."""
    probs = lens.probs
    best = lens.top1.unsqueeze(-1)
    probs.scatter_(-1, best, -1.0)  # hide the first to find the second: far cheaper than a top-k over the vocabulary
    second = probs.amax(dim=-1)
    probs.scatter_(-1, best, lens.max_prob.unsqueeze(-1))
    return lens.max_prob - second


@statistic()
def entropy(lens: Lens) -> Tensor:
    """Entropy in nats."""
    return lens.entropy


@statistic()
def entropy_norm(lens: Lens) -> Tensor:
    """Entropy divided by ln V."""
    return lens.entropy / math.log(lens.probs.shape[-1])


@statistic(reads_head=False, looks_back=True, no_value=-1.0)
def state_cosine(lens: Lens) -> Tensor:
    """Cosine between the hidden states after layers k and k-1."""
    import torch

    assert lens.previous is not None
    return torch.cosine_similarity(lens.state.float(), lens.previous.state.float(), dim=-1)


@statistic(looks_back=True, no_value=math.log(2))
def divergence(lens: Lens) -> Tensor:
    """Jensen-Shannon divergence in nats between the distributions of layers k and k-1 (Lin 1991)."""
    assert lens.previous is not None
    between = lens.probs.add(lens.previous.probs).mul_(0.5)
    js: Tensor = _entropy(between) - 0.5 * (lens.entropy + lens.previous.entropy)
    return js.clamp_(min=0.0)
