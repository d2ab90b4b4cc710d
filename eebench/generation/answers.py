"""What a model answers when a setting decides where its positions stop: the one thing that scoring needs to know.

In likelihood tasks the positions are given, and answers are log-likelihoods read at the exit layers. In generation a
setting makes its own positions: it goes its own way through the tree, and its answer is the text it has emitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eebench.cost import CostModel
from eebench.policy import Bools, ExitPolicy, Ints
from eebench.replaying import Decisions, replay
from eebench.traces.trace import Trace
from eebench.traces.trees import Tree, Walk

if TYPE_CHECKING:
    from eebench.metrics import Response, TaskScorer


@dataclass(frozen=True)
class Answers:
    """The answers of one setting.

    Attributes:
        trace: the positions that the setting has decided; in generation its targets are the tokens emitted.
        decisions: where they stop.
        agrees: whether what was emitted or read there is the full model's most probable token. [positions]
        flops: what was computed there. [positions]
        responses: what the task is told, by document.
    """

    trace: Trace
    decisions: Decisions
    agrees: Bools
    flops: NDArray[np.float64]
    responses: list[list[Response]]


class Answerer(Protocol):
    """Makes the answers of settings on one (model, task).

    Attributes:
        full_trace: the positions of the full model's own answers.
        generates: whether the answers are texts.
    """

    @property
    def full_trace(self) -> Trace: ...
    @property
    def generates(self) -> bool: ...
    def answers(self, policy: ExitPolicy) -> Answers: ...


class LikelihoodAnswers:
    """Answers from the trace of a likelihood task."""

    generates = False

    def __init__(self, trace: Trace, task: TaskScorer, cost: CostModel) -> None:
        self.full_trace = trace
        self._task, self._cost = task, cost

    def answers(self, policy: ExitPolicy) -> Answers:
        """Replay a setting."""
        trace, decisions = self.full_trace, replay(policy, self.full_trace)
        logprobs, greedy = trace.answers(decisions.exit_layer)
        responses = self._task.responses(logprobs.tolist(), greedy.tolist())
        flops = self._cost.flops(decisions.exit_layer, decisions.lens_reads, trace.context)
        return Answers(trace, decisions, agreement(trace, decisions), flops, responses)


class TreeAnswers:
    """Answers from the tree of a generation task; a setting that leaves the tree is decoded on the way."""

    generates = True

    def __init__(
        self,
        tree: Callable[[ExitPolicy], tuple[Tree, Walk]],
        full_trace: Trace,
        task: TaskScorer,
        cost: CostModel,
        text: Callable[[int, tuple[int, ...]], str],
    ) -> None:
        """
        Args:
            tree: the tree that holds the whole way of a setting, and the way.
            text: what the tokens of an answer to a request say.
        """
        self._tree, self._task, self._cost, self._text = tree, task, cost, text
        self.full_trace = full_trace

    def answers(self, policy: ExitPolicy) -> Answers:
        """Walk a setting through the tree."""
        tree, walk = self._tree(policy)
        trace = tree.along(walk)
        texts = [self._text(request, tokens) for request, tokens in enumerate(tokens_of(trace))]
        depth = depth_with_kv(walk.decisions.exit_layer, trace.request)
        flops = self._cost.flops(depth, walk.decisions.lens_reads, trace.context)
        agrees = agreement(trace, walk.decisions)
        return Answers(trace, walk.decisions, agrees, flops, self._task.grouped(texts))


def agreement(trace: Trace, decisions: Decisions) -> Bools:
    """Whether the exit layer's most probable token is the full model's. [positions]"""
    agrees: Bools = trace.agrees[decisions.exit_layer - 1, np.arange(trace.num_positions)]
    return agrees


def depth_with_kv(exit_layer: Ints, request: Ints) -> Ints:
    """How many blocks are run at each position in the end, exact K/V for the tokens behind it included.

    A token that goes to layer k attends, in every block up to k, to all tokens before it, so these are run up to k as
    well, whether they had stopped before or not: the depth of a position is the deepest exit from there to the end of
    its answer. [positions]
    """
    depth = exit_layer.copy()
    for position in range(len(depth) - 2, -1, -1):
        if request[position] == request[position + 1]:
            depth[position] = max(depth[position], depth[position + 1])
    return depth


def tokens_of(trace: Trace) -> list[tuple[int, ...]]:
    """The tokens emitted in answer to each request."""
    ends = np.searchsorted(trace.request, np.arange(len(trace.requests) + 1))
    return [tuple(trace.target[start:end].tolist()) for start, end in pairwise(ends)]


# --- answers as sequences ----------------------------------------------------------------------------------------


def common_prefix(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many tokens two answers share from the start."""
    differ = (number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))


def repetition(tokens: Sequence[int], n: int = 4) -> float:
    """Share of n-grams that have stood in the answer before: seq-rep-n of Welleck et al. 2020 (arXiv 1908.04319)."""
    grams = [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
