"""The setting that a user would take: what saves most on calibration documents while enough is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from eebench.ranking.skill import AXES, points_of, vertices
from eebench.records.results import StoredResult, Summary

PICK_FIDELITY = 0.99
"""The setting shown per policy is the one that saves most layers at this fidelity on the calibration documents."""

LEVELS = (0.99, 0.95, 0.9)
"""What a user may ask to be kept of the full model."""

Keeping = Literal["fidelity", "retention"]
KEEPING: tuple[Keeping, ...] = get_args(Keeping)


@dataclass(frozen=True)
class Picked:
    """The setting a user would take, chosen on the calibration documents, with its figures on the test documents."""

    setting: str
    test: Summary
    exit_histogram: Sequence[int]


def batch_saving(exit_histogram: Sequence[int], batch: int) -> float:
    """Layers saved by a batch whose sequences leave a layer only when all of them may: 1 - E[max of B exits] / L.

    Args:
        exit_histogram: positions that stop at each layer; the batch's are drawn from it independently. [layers]
    """
    reached = np.cumsum(exit_histogram) / np.sum(exit_histogram)  # P(exit <= k)
    return 1 - float(np.sum(1 - np.concatenate([[0.0], reached[:-1]]) ** batch)) / len(exit_histogram)


def pick(
    results: Sequence[StoredResult],
    level: float = PICK_FIDELITY,
    keeping: Keeping = "fidelity",
) -> Picked | None:
    """The setting of one policy on one evaluation that saves most layers on calibration documents at a level kept.

    Where no setting keeps that much, or those that do save nothing, a user would run the full model: nothing saved,
    nothing lost. None where the documents cannot be split, or where there is nothing to retain.

    Args:
        keeping: what must not fall below `level`: fidelity, or the retention of quality on informative tasks.
    """
    if keeping == "retention" and not results[0].evaluation.informative:
        return None
    coin_end = results[0].evaluation.coin_end
    if not {"calibration", "test"} <= coin_end.keys():
        return None
    useful = [r.result for r in results if _useful(r.result.summaries["calibration"], level, keeping)]
    if not useful:
        num_layers = results[0].evaluation.num_layers
        return Picked("full", _full_model(coin_end["test"], num_layers), [*[0] * (num_layers - 1), 1])
    best = max(
        useful, key=lambda r: (r.summaries["calibration"].layers_saved, r.summaries["calibration"].compute_saved)
    )
    return Picked(best.setting, best.summaries["test"], best.exit_histogram)


def _useful(calibration: Summary, level: float, keeping: Keeping) -> bool:
    kept = calibration.faithful if keeping == "fidelity" else calibration.retention
    return kept is not None and kept >= level and calibration.layers_saved > 0


def _full_model(some: Summary, num_layers: int) -> Summary:
    retention = None if some.retention is None else 1.0
    kept = None if some.kept is None else 1.0
    full = replace(some, mean_exit_layer=num_layers, layers_saved=0, compute_saved=0, lens_reads=1, fidelity=1)
    return replace(full, retention=retention, kept=kept)


def at_levels(results: Sequence[StoredResult]) -> Iterator[tuple[Keeping, float, Picked]]:
    """What is picked of one policy on one evaluation at every level of fidelity and of retention, where it can be."""
    for keeping in KEEPING:
        for level in LEVELS:
            if choice := pick(results, level, keeping):
                yield keeping, level, choice


def decisive(results: Sequence[StoredResult]) -> list[StoredResult]:
    """One policy's settings on one evaluation that its scores rest on; without the others they are the same.

    These are the vertices of its curves, and what is picked at a fidelity or retention of 99, 95 and 90%; the first
    where there are none, so that the policy is not lost.
    """
    names = {choice.setting for _kept, _level, choice in at_levels(results)}
    for axes in AXES.values():
        if points := points_of(results, axes):
            coin, *settings = points["calibration"]
            names |= {results[vertex].result.setting for vertex in vertices(settings, coin)}
    return [stored for stored in results if stored.result.setting in names] or list(results[:1])
