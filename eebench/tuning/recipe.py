"""The recipe of a training: everything that, with the versions of the libraries, decides what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Objective = Literal["distillation", "mutual", "cross-entropy"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
"""What a layer is asked for: the final distribution; the same, the final layer being drawn towards it as well; or the
next token itself (LayerSkip)."""

Weighting = Literal["uniform", "linear", "layerskip"]
WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)
"""How much a layer counts: all alike, k/L, or LayerSkip's scale, the sum of 1..k."""

Curriculum = Literal["random", "rotational", "gradual", "all"]
CURRICULA: tuple[Curriculum, ...] = get_args(Curriculum)
"""Which layers are asked at a step: some at random, every n-th in turns, ever more from the last one down, or all."""

Method = Literal["lora", "full"]
METHODS: tuple[Method, ...] = get_args(Method)
"""What is trained: an adapter on every linear layer of the blocks, or all weights."""


DEFAULT_RANK = 16


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and how: with the versions of the libraries it decides the result.

    Attributes:
        model: where its name asks for an adapter (MODEL+FOLDER), that adapter is trained on.
        rank: of the adapter; None is 16, or the rank of the one that is trained on.
        batch: sequences of `length` tokens in a step.
        positions: positions of a batch that have a loss; all where there are fewer.
        layers: layers before the last that have a loss in a step.
        early_weight: lambda of `eebench.tuning.exit_loss`.
        temperature: T of `eebench.tuning.exit_loss`.
        anchor: a of `eebench.tuning.exit_loss`, from 0 to 1.
    """

    model: str
    data: tuple[str, ...]
    field: str | None = None
    split: str = "train"
    method: Method = "lora"
    rank: int | None = None
    steps: int = 400
    batch: int = 4
    length: int = 256
    learning_rate: float = 4e-4
    warmup: int = 20
    objective: Objective = "distillation"
    early_weight: float = 1.0
    temperature: float = 1.0
    anchor: float = 0.0
    weighting: Weighting = "linear"
    curriculum: Curriculum = "random"
    layers: int = 6
    positions: int = 512
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    seed: int = 1234
