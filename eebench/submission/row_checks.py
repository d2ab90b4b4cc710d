"""Whether the rows of a setting can be true: values that no run could have, for the layers and the costs there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.policy import Bools
from eebench.quality import follows, is_mean
from eebench.records.results import COIN, Columns
from eebench.scoring import SEQUENCE_COLUMNS
from eebench.submission.compute_bounds import SLACK, Sums, least, least_full, most, most_with_kv
from eebench.submission.ground import Ground, Numbers, first_of


def wrong_histogram(ground: Ground, rows: Columns, histogram: Numbers) -> str:
    """Whether the exit histogram counts what the rows sum."""
    layers = ground.evaluation.num_layers
    if len(histogram) != layers or (histogram < 0).any():
        return f"its exit histogram should have {layers} numbers, one per layer, of 0 or more"
    if histogram.sum() != rows["n_positions"].sum():
        return f"its exit histogram counts {histogram.sum():.0f} positions, and there are {rows['n_positions'].sum()}"
    if histogram @ np.arange(1, layers + 1) != rows["exit_layers"].sum():
        return "its exit histogram is not that of the exit layers in its rows"
    return ""


def wrong_values(ground: Ground, rows: Columns) -> Iterator[str]:
    """Values that cannot be, by themselves and beside each other."""
    ids, layers = ground.documents["id"], ground.evaluation.num_layers
    for name, values in rows.items():
        if name != "quality" and not np.isfinite(values).all():
            yield f"{name} of document {first_of(ids, ~np.isfinite(values))} is not a finite number"
            return
    n, exits, reads, agrees = (rows[name] for name in ("n_positions", "exit_layers", "lens_reads", "agrees"))
    checks: list[tuple[Bools, str]] = [
        (n < 1, "has no positions"),
        ((exits < n) | (exits > n * layers), f"stops at a layer outside of 1 to {layers}"),
        ((reads < n) | (reads > exits), "reads the head less than once, or oftener than there are layers to its exit"),
        ((agrees < 0) | (agrees > n), "has more positions that agree with the full model than positions"),
        (rows["flops"] <= 0, "takes no FLOPs, or fewer"),
    ]
    if not ground.generates:
        checks.append((n != ground.documents["n_positions"], "has another number of positions than for other settings"))
    else:
        checks += _answer_checks(ground, rows)
    if follows(ground.evaluation.metric):
        checks += _quality_checks(ground, rows)
    yield from (f"document {first_of(ids, wrong)} {says}" for wrong, says in checks if wrong.any())


def _quality_checks(ground: Ground, rows: Columns) -> list[tuple[Bools, str]]:
    """The main metric's value is weighed alike for all settings: by one in a mean, by the text's length in a ratio."""
    value, weight = rows["quality"].T
    checks = [
        (~np.isfinite(value), "has a quality that is not a finite number"),
        (~(weight > 0) | ~np.isfinite(weight), "has a quality without a weight"),
    ]
    if is_mean(ground.evaluation.metric):
        checks.append(((value < 0) | (value > 1), "has a quality outside of 0 to 1"))
        checks.append((weight != 1, "has a quality that is weighed otherwise than others are"))
    elif ground.full is not None:
        checks.append(
            (weight != ground.full["quality"][:, 1], "has a quality that is weighed otherwise than others are")
        )
    return checks


def _answer_checks(ground: Ground, rows: Columns) -> list[tuple[Bools, str]]:
    """What cannot be in generation."""
    if "kept" not in rows:
        return [(np.ones(len(rows["id" if "id" in rows else "agrees"]), dtype=bool), "has no answer, as others have")]
    length, shared, kept = rows["answer_length"], rows["common_prefix"], rows["kept"]
    full_length = ground.documents["n_positions"]
    one_request = np.isclose(length, rows["n_positions"])
    with np.errstate(invalid="ignore", divide="ignore"):
        follows_from = np.isclose(kept, shared / np.maximum(length, full_length))
        whole = np.isclose(rows["n_positions"] / length, np.round(rows["n_positions"] / length))
    shares = [rows[name] for name in ("departs", "repetition", "kept")]
    checks = [
        ((length < 1) | ~whole, "has an answer of a length that its positions do not make"),
        ((shared < 0) | (shared > length), "shares more of the full model's answer than it has"),
        (np.any([(share < 0) | (share > 1) for share in shares], axis=0), "has a share outside of 0 to 1"),
        (one_request & ~follows_from, "keeps another share of the answer than its lengths say"),
        (one_request & ((rows["departs"] > 0) == (kept == 1)), "departs from the full model's answer and keeps it"),
    ]
    if ground.evaluation.kv_mode == "full":
        checks.append((one_request & (rows["agrees"] < shared), "agrees less often than it shares the answer"))
    return checks


def wrong_flops(ground: Ground, rows: Columns, between: tuple[int, int]) -> Iterator[str]:
    """FLOPs that the layers and the reads of a document do not cost.

    Args:
        between: the shallowest and the deepest layer that any position stopped at.
    """
    ids, cost, mode = ground.documents["id"], ground.cost, ground.evaluation.kv_mode
    n, exits, reads = (rows[name].astype(np.float64) for name in ("n_positions", "exit_layers", "lens_reads"))
    sums, flops = Sums(n, exits, reads, rows["flops_full"], *between), rows["flops"]
    too_few_full = rows["flops_full"] < least_full(cost, sums.n_positions) * (1 - SLACK)
    if too_few_full.any():
        yield f"document {first_of(ids, too_few_full)}: the full model takes more FLOPs than flops_full"
        return
    if not ground.generates and ground.full is not None:
        other = rows["flops_full"] != ground.full["flops_full"]
        if other.any():
            yield f"document {first_of(ids, other)} costs the full model something else than for other settings"
    elif ground.full is not None and "answer_length" in rows:
        as_long = (n == ground.full["n_positions"]) & np.isclose(rows["answer_length"], n)
        other = as_long & ~np.isclose(rows["flops_full"], ground.full["flops_full"], rtol=SLACK, atol=0)
        if other.any():
            yield f"document {first_of(ids, other)} costs the full model another sum than its own answer does"
    if mode == "verify":  # drafts that are thrown away are counted and stand in no row
        yield from _wrong_checked(ground, rows, sums)
        return
    too_few = flops < least(cost, sums)
    if too_few.any():
        yield f"document {first_of(ids, too_few)} takes fewer FLOPs than its exit layers and reads cost"
    if mode == "full":
        highest = most_with_kv(cost, sums) if ground.generates else most(cost, sums)
        if (flops > highest).any():
            yield f"document {first_of(ids, flops > highest)} takes more FLOPs than its exit layers and reads cost"


def _wrong_checked(ground: Ground, rows: Columns, sums: Sums) -> Iterator[str]:
    """What cannot be where the whole model checks every token that is drafted."""
    ids = ground.documents["id"]
    early = sums.exit_layers != sums.n_positions * ground.evaluation.num_layers
    if early.any():
        yield f"document {first_of(ids, early)} stops before the last layer, and verify runs all layers on every token"
    lowest = least_full(ground.cost, sums.n_positions) + (sums.lens_reads - sums.n_positions) * ground.cost.head
    too_few = rows["flops"] < lowest * (1 - SLACK)
    if too_few.any():
        yield f"document {first_of(ids, too_few)} takes fewer FLOPs than checking every token costs"


def wrong_at_an_end(ground: Ground, rows: Columns) -> Iterator[str]:
    """A document that stops at one layer throughout, and answers otherwise than what always stops there."""
    if ground.evaluation.kv_mode != "full":
        return  # what is executed may differ by rounding
    coin = {name.removeprefix(COIN): values for name, values in ground.documents.items() if name.startswith(COIN)}
    n, exits = rows["n_positions"], rows["exit_layers"]
    full = ground.full or {}
    ends = (
        ("the last layer", full, exits == n * ground.evaluation.num_layers, "the full model's"),
        ("layer 1", coin, exits == n, "that of the end of the no-skill line"),
    )
    for where, expected, stops, whose in ends:
        for name in ("n_positions", "agrees", "quality", *SEQUENCE_COLUMNS):
            if name in rows and name in expected:
                other = stops & ~_same_rows(rows[name], expected[name])
                if other.any():
                    number = first_of(ground.documents["id"], other)
                    yield f"document {number} stops at {where} throughout, and its {name} is not {whose}"


def _same_rows(one: NDArray[Any], other: NDArray[Any]) -> Bools:
    """Where two columns are the same. [documents]"""
    same: Bools = ((one == other) | (np.isnan(one) & np.isnan(other))).reshape(len(one), -1).all(axis=1)
    return same


def wrong_agreement(ground: Ground, rows: Columns, histogram: Numbers) -> Iterator[str]:
    """Fidelity that what the layers agree on does not allow, where all settings stand on the same positions."""
    if ground.generates:
        return
    agree, n = ground.documents["layer_agrees"], rows["n_positions"]
    total, right = int(n.sum()), int(rows["agrees"].sum())
    could = agree.sum(axis=0)  # [layers]
    if right > np.minimum(histogram, could).sum():
        yield "its fidelity is higher than the layers that it stops at allow"
    if total - right > np.minimum(histogram, total - could).sum():
        yield "its fidelity is lower than the layers that it stops at allow"
    layer = _single_layers(rows, ground.evaluation.num_layers, histogram)
    known = layer > 0
    told = agree[np.arange(len(n)), np.maximum(layer, 1) - 1]
    wrong = known & (told != rows["agrees"])
    if wrong.any():
        number = first_of(ground.documents["id"], wrong)
        yield f"document {number} agrees with the full model at another number of positions than its layer does"


def _single_layers(rows: Columns, layers: int, histogram: Numbers) -> NDArray[np.int64]:
    """The layer that all positions of a document stop at, 0 where that cannot be told. [documents]"""
    n, exits = rows["n_positions"], rows["exit_layers"]
    used = np.flatnonzero(histogram) + 1
    single = (n == 1) | (exits == n * used[0]) | (exits == n * used[-1])
    return np.where(single, exits // n, 0).astype(np.int64)


def wrong_full(ground: Ground, rows: Columns) -> Iterator[str]:
    """What the full model's own rows cannot be."""
    layers, mode = ground.evaluation.num_layers, ground.evaluation.kv_mode
    if (rows["exit_layers"] != rows["n_positions"] * layers).any():
        yield "it is the full model, and stops before the last layer"
    if mode == "full":
        if (rows["agrees"] != rows["n_positions"]).any():
            yield "it is the full model, and does not agree with itself"
        if not np.allclose(rows["flops"], rows["flops_full"], rtol=1e-9, atol=0):
            yield "it is the full model, and takes other FLOPs than the full model"


def wrong_oracle(ground: Ground, rows: Columns) -> Iterator[str]:
    """Exit layers that are not those of the first layer to agree, as far as counts of agreeing positions tell.

    By layer k, as many positions of a document have stopped as agree at any one layer up to it, or more; and no more
    than agree at all of these layers together.
    """
    ids, n = ground.documents["id"], rows["n_positions"]
    agree = ground.documents["layer_agrees"][:, :-1]
    fewest = np.maximum.accumulate(agree, axis=1).sum(axis=1)
    most_stopped = np.minimum(np.cumsum(agree, axis=1), n[:, None]).sum(axis=1)
    everywhere = n * ground.evaluation.num_layers
    exits = rows["exit_layers"]
    wrong = (exits > everywhere - fewest) | (exits < everywhere - most_stopped)
    if wrong.any():
        yield f"document {first_of(ids, wrong)} does not stop at the first layers that agree with the full model"
    if (rows["agrees"] != n).any():
        yield "it is the oracle, and does not agree with the full model everywhere"
