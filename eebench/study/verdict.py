"""The paper's claims against what is measured: supported, not supported, or undecided, by a stated test.

Every test is the same: a difference that the claim says is positive, with its paired-bootstrap interval over documents.
The claim is supported where the interval lies above 0, not supported where it lies below, undecided where it holds 0.
Where a claim says that something does not happen, the difference is held against a margin that is stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eebench.ranking.bootstrap import Estimate, interval
from eebench.study.capability import Capability, dealt_out, saved_draws
from eebench.study.full_loss import loss_draws, running_text
from eebench.study.kv_copy import Decoded, kept_draws
from eebench.study.locating import Located, within_draws
from eebench.study.material import Material
from eebench.study.subwords import starts_after_continuations

Finding = Literal["supported", "not supported", "undecided"]

LOSS_MARGIN = 0.01
"""Nats per token by which a jointly trained model may be worse at full depth and still count as unhurt."""


@dataclass(frozen=True)
class Claim:
    """What the paper says, what is measured, and what follows.

    Attributes:
        measured: the figures, in words.
        test: what must lie above 0.
        difference: that, with its interval; in `unit`.
    """

    claim: str
    measured: str
    test: str
    difference: Estimate
    unit: str

    @property
    def finding(self) -> Finding:
        return {1: "supported", -1: "not supported", 0: "undecided"}[self.difference.sign]  # type: ignore[return-value]


@dataclass(frozen=True)
class Studied:
    """One model's part in a verdict.

    Attributes:
        located: per policy, its setting that locates the layer best.
        decoded: executed settings on generation tasks, if any were.
    """

    material: Material
    capability: Capability
    located: dict[str, Located]
    decoded: Sequence[Decoded]


def claims_of(one: Studied) -> list[Claim]:
    """What can be said of a model by itself."""
    material, name = one.material, one.material.model
    chance_draws = _saved_by_chance_draws(one)
    capability = one.capability
    claims = [
        Claim(
            "Early exit is a natural capability: without joint optimisation, tokens could stop early.",
            f"{name}: an oracle saves {_percent(capability.oracle)} of layers, a stable one "
            f"{_percent(capability.stable)}; chance agreement alone would save {_percent(capability.by_chance)}.",
            "oracle's saving - the saving if final predictions were dealt out at random",
            interval(chance_draws),
            "share of layers",
        )
    ]
    if (material.classes.part == 1).any() and (material.classes.part == 0).any():
        later = starts_after_continuations(material)
        claims.append(
            Claim(
                "Sub-word tokens differ: word continuations can stop earlier than word starts.",
                f"{name}: an oracle stops {abs(later[0]):.1f} layers {'later' if later[0] >= 0 else 'earlier'} at word "
                f"starts than inside words.",
                "oracle's mean layer at word starts - inside words",
                interval(later),
                "layers",
            )
        )
    if one.decoded:
        full, copy = (kept_draws(one.decoded, mode) for mode in ("full", "copy"))
        claims.append(
            Claim(
                "Copying K/V for skipped layers hurts generation.",
                f"{name}: {full[0]:.1%} of an answer is the full model's with exact K/V, {copy[0]:.1%} with copied.",
                "share of the answer kept: exact K/V - copied K/V, mean over settings",
                interval(full - copy),
                "share of the answer",
            )
        )
    return claims


def claims_against(before: Studied, after: Studied) -> list[Claim]:
    """What joint optimisation changes: `before` without it, `after` with it, on the same documents."""
    pairs = (before.material.model, after.material.model)
    saved = [saved_draws(one.material, one.material.oracle) for one in (before, after)]
    claims = [
        Claim(
            "Joint optimisation widens what could be saved.",
            _both(pairs, [f"an oracle saves {draws[0]:.1%} of layers" for draws in saved]),
            "oracle's saving: after - before",
            interval(saved[1] - saved[0]),
            "share of layers",
        )
    ]
    for policy in ("confidence", "patience", "state"):
        if policy in before.located and policy in after.located:
            near = [within_draws(one.located[policy], one.material, 1) for one in (before, after)]
            claims.append(
                Claim(
                    f"Joint optimisation makes the right layer easier to locate ({policy}).",
                    _both(pairs, [f"{draws[0]:.1%} of stops within one layer of the oracle's" for draws in near]),
                    f"share of stops of {policy}'s best setting within one layer of the oracle's: after - before",
                    interval(near[1] - near[0]),
                    "share of stops",
                )
            )
    loss = [loss_draws(one.material, running_text(one.material)) for one in (before, after)]
    claims.append(
        Claim(
            "Joint optimisation does not hurt the full model.",
            _both(pairs, [f"{draws[0]:.3f} nats per token of right text at full depth" for draws in loss]),
            f"{LOSS_MARGIN} nats - (loss after - loss before)",
            interval(LOSS_MARGIN - (loss[1] - loss[0])),
            "nats per token",
        )
    )
    return claims


def _saved_by_chance_draws(one: Studied) -> NDArray[np.float64]:
    return saved_draws(one.material, one.material.oracle) - saved_draws(one.material, dealt_out(one.material))


def _both(names: tuple[str, str], said: Sequence[str]) -> str:
    return "; ".join(f"{name}: {what}" for name, what in zip(names, said, strict=True)) + "."


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"
