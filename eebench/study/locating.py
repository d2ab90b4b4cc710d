"""Where policies stop against where they could have, and how far a layer's confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eebench.policy import Bools, ExitPolicy, Ints
from eebench.ranking.bootstrap import Estimate, interval
from eebench.ranking.picking import at_levels
from eebench.ranking.skill import by_evaluation, by_policy
from eebench.replaying import replay
from eebench.study.material import Material

BINS = 15
"""Equal-width bins of the reliability curve (Guo et al. 2017)."""


# --- one setting -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Located:
    """A setting's stops against the oracle's: the first layer that makes the final prediction.

    Attributes:
        exit_layer: where it stopped. [positions]
        right: whether what it read there is the final prediction. [positions]
    """

    setting: str
    exit_layer: Ints
    right: Bools
    oracle: Ints

    @cached_property
    def off(self) -> Ints:
        """How many layers too deep it stopped; negative: too early. [positions]"""
        off: Ints = self.exit_layer.astype(int) - self.oracle
        return off

    def within(self, layers: int) -> Bools:
        """Whether it stopped at most so many layers from the oracle's. [positions]"""
        near: Bools = np.abs(self.off) <= layers
        return near

    def confusion(self, num_layers: int) -> NDArray[np.int64]:
        """Positions by the oracle's layer and the setting's. [layers, layers]"""
        counts = np.zeros((num_layers, num_layers), dtype=np.int64)
        np.add.at(counts, (self.oracle - 1, self.exit_layer.astype(int) - 1), 1)
        return counts


def locate(setting: ExitPolicy, material: Material) -> Located:
    """Decide a setting on all positions of a model."""
    trace = material.trace
    exits = replay(setting, trace).exit_layer
    right = trace.agrees[exits - 1, np.arange(trace.num_positions)]
    return Located(setting.setting(), exits, right, material.oracle)


def best_located(settings: Sequence[ExitPolicy], material: Material) -> Located:
    """Of a policy's settings the one that is most often within one layer of the oracle on calibration documents."""
    trace = material.trace
    calibration = trace.in_part("calibration")[trace.document]
    if not calibration.any():
        calibration = ~calibration
    located = [locate(setting, material) for setting in settings]
    return max(located, key=lambda one: float(one.within(1)[calibration].mean()))


def location_row(located: Located, material: Material) -> dict[str, float | str]:
    """How a setting locates the layer on the test documents: a row of the table."""
    trace = material.trace
    test = trace.in_part("test")[trace.document]
    if not test.any():
        test = ~test
    off, right = located.off[test], located.right[test]
    return {
        "setting": located.setting,
        "early": float((off < 0).mean()),
        "exact": float((off == 0).mean()),
        "late": float((off > 0).mean()),
        "within_1": float(located.within(1)[test].mean()),
        "within_2": float(located.within(2)[test].mean()),
        "right": float(right.mean()),
        "layers_saved": float(1 - located.exit_layer[test].mean() / material.num_layers),
    }


def within_draws(located: Located, material: Material, layers: int) -> NDArray[np.float64]:
    """The share of stops within so many layers of the oracle's, of the sample and of each draw. [1 + draws]"""
    return material.resampler.ratios(material.per_document(located.within(layers)), material.per_document(1.0))


# --- calibration of the confidence -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reliability:
    """Whether a layer is right as often as it is confident.

    Attributes:
        curve: a row per layer and bin of `max_prob`: `layer`, `confidence` (its mean), `agreement` (how often the
            top-1 is the final one), `share` (of positions).
        ece: per layer the expected calibration error, mean over positions of |agreement - confidence| of their bin
            (Guo et al. 2017, arXiv 1706.04599). [layers]
    """

    curve: pd.DataFrame
    ece: NDArray[np.float64]


def reliability(material: Material) -> Reliability:
    """The confidence of every layer against what it stands for: that the full model would say the same."""
    confidence = material.trace.all_layers("max_prob")
    agrees = material.trace.agrees
    rows, errors = [], []
    for layer in range(material.num_layers):
        of_bin = np.minimum((confidence[layer] * BINS).astype(int), BINS - 1)
        counts = np.bincount(of_bin, minlength=BINS)
        there = counts > 0
        mean_confidence = np.bincount(of_bin, confidence[layer], BINS)[there] / counts[there]
        mean_agreement = np.bincount(of_bin, agrees[layer], BINS)[there] / counts[there]
        share = counts[there] / counts.sum()
        errors.append(float((share * np.abs(mean_agreement - mean_confidence)).sum()))
        rows.append(
            pd.DataFrame(
                {"layer": layer + 1, "confidence": mean_confidence, "agreement": mean_agreement, "share": share}
            )
        )
    return Reliability(pd.concat(rows, ignore_index=True), np.array(errors))


# --- what policies save ------------------------------------------------------------------------------------------


def savings_at(material: Material) -> pd.DataFrame:
    """Layers saved at a fidelity, and at a retention of quality, by the settings picked on calibration documents.

    Returns:
        A row per policy, `keeping` (fidelity or retention) and `level`: `layers_saved`, and `of_oracle`, that as a
        share of what the oracle saves on the same documents; means over tasks.
    """
    rows = []
    for policy, results in by_policy(material.stored).items():
        for settings in by_evaluation(results).values():
            for keeping, level, picked in at_levels(settings):
                saved = picked.test.layers_saved
                rows.append({"policy": policy, "keeping": keeping, "level": level, "layers_saved": saved})
    table = pd.DataFrame(rows, columns=["policy", "keeping", "level", "layers_saved"])
    mean = table.groupby(["policy", "keeping", "level"], as_index=False).mean()
    oracle = mean[mean["policy"] == "oracle"].set_index(["keeping", "level"])["layers_saved"]
    at = pd.MultiIndex.from_frame(mean[["keeping", "level"]])
    with np.errstate(invalid="ignore", divide="ignore"):  # where the oracle saves nothing there is no share of it
        mean["of_oracle"] = mean["layers_saved"].to_numpy() / oracle.reindex(at).to_numpy()
    return mean


def exact_share(located: Located, material: Material) -> Estimate:
    """How often a setting stops within one layer of the oracle's."""
    return interval(within_draws(located, material, 1))
