"""Do word continuations stop earlier than word starts? Exits by what the predicted token is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eebench.policy import Bools, Ints
from eebench.ranking.bootstrap import interval
from eebench.study.material import Material
from eebench.study.words import KINDS, PARTS

FREQUENCIES = ("rarest quarter", "rarer quarter", "more frequent quarter", "most frequent quarter")
PLACES = ((0, 1), (1, 4), (4, 16), (16, 64), (64, 256), (256, 1024), (1024, None))
"""Half-open ranges of t, the position in the scored text."""


def token_classes(material: Material) -> Iterator[tuple[str, str, Bools]]:
    """Every way of classing the positions by their target, and its classes: (by, class, [positions])."""
    classes = material.classes
    for number, part in enumerate(PARTS):
        yield "part of word", part, classes.part == number
    for place in (1, 2, 3):
        yield "place in word", f"piece {place}", classes.piece == place
    yield "place in word", "piece 4 and later", classes.piece >= 4
    for count in (1, 2, 3):
        yield "pieces of the word", f"{count} piece" + "s" * (count > 1), classes.pieces == count
    yield "pieces of the word", "4 pieces and more", classes.pieces >= 4
    for number, kind in enumerate(KINDS):
        yield "kind of token", kind, classes.kind == number
    quarter = frequency_quarters(material.trace.target)
    for number, name in enumerate(FREQUENCIES):
        yield "frequency of the token", name, quarter == number
    for name, where in places(material):
        yield "position in the text", name, where


def places(material: Material) -> Iterator[tuple[str, Bools]]:
    """Ranges of the position in the scored text: (name, [positions])."""
    for first, end in PLACES:
        until = np.inf if end is None else end
        name = f"{first} and later" if end is None else f"{first} to {end - 1}" if end - 1 > first else f"{first}"
        yield name, (material.trace.position >= first) & (material.trace.position < until)


def frequency_quarters(target: Ints) -> Ints:
    """How frequent each position's target is here: quarters of the positions, 0 the rarest; ties stay together."""
    _tokens, of, counts = np.unique(target, return_inverse=True, return_counts=True)
    frequency = counts[of]
    edges = np.quantile(frequency, [0.25, 0.5, 0.75], method="higher")
    return np.searchsorted(edges, frequency, side="left")


def exits_by_class(material: Material, policies: dict[str, Ints]) -> pd.DataFrame:
    """Where positions stop, class by class.

    Args:
        policies: the exit layers of some settings, by name. [positions] each

    Returns:
        A row per class: `by`, `class`, `positions`, `share`, `oracle` with its interval (`oracle_low`, `oracle_high`),
        `stable`, all mean layers; and the mean layer of each setting, under its name.
    """
    rows = []
    for by, name, where in token_classes(material):
        if not where.any():
            continue
        oracle = interval(mean_layer_draws(material, material.oracle, where))
        row = {
            "by": by,
            "class": name,
            "positions": int(where.sum()),
            "share": float(where.mean()),
            "oracle": oracle.value,
            "oracle_low": oracle.low,
            "oracle_high": oracle.high,
            "stable": float(material.stable[where].mean()),
        }
        rows.append(row | {setting: float(exits[where].mean()) for setting, exits in policies.items()})
    return pd.DataFrame(rows)


def mean_layer_draws(material: Material, layer: Ints, where: Bools) -> NDArray[np.float64]:
    """The mean of a layer over some positions, of the sample and of each draw of documents. [1 + draws]"""
    return material.resampler.ratios(material.per_document(layer, where), material.per_document(1.0, where))


def starts_after_continuations(material: Material) -> NDArray[np.float64]:
    """By how many layers an oracle stops later at word starts than inside words, of the sample and each draw."""
    part = material.classes.part
    starts = mean_layer_draws(material, material.oracle, part == PARTS.index("start"))
    inside = mean_layer_draws(material, material.oracle, part == PARTS.index("continuation"))
    return starts - inside
