"""Whether figures follow from rows: every summary, metric and share that the rows of a bundle determine, once more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields

from eebench.policy import Bools
from eebench.quality import follows, is_mean, name_of, quality_of, retention_of, stderr_of
from eebench.records.results import Columns, MetricValue, Result, Summary
from eebench.scoring import SEQUENCE_COLUMNS
from eebench.submission.ground import Ground


def wrong_summaries(ground: Ground, said: Mapping[str, Summary], rows: Columns) -> Iterator[str]:
    """Figures that do not follow from the rows."""
    if said.keys() != ground.parts.keys():
        yield f"it has figures of {', '.join(said)}, and its documents make up {', '.join(ground.parts)}"
        return
    for part, chosen in ground.parts.items():
        follows_from = summary_of(ground, rows, chosen, said[part])
        for name in (field.name for field in fields(Summary)):
            value, expected = getattr(said[part], name), getattr(follows_from, name)
            if not same(value, expected):
                yield f"{_words(name)} of {part} documents is {_shown(value)}, and its rows make it {_shown(expected)}"


def summary_of(ground: Ground, rows: Columns, chosen: Bools, said: Summary) -> Summary:
    """The figures that rows make; `said` gives those that rows alone do not."""
    sums = {name: float(values[chosen].sum()) for name, values in rows.items() if name not in ("id", "quality")}
    positions, documents = sums["n_positions"], int(chosen.sum())
    mean_exit = sums["exit_layers"] / positions
    quality, retention = _quality_of(ground, rows, chosen, said)
    return Summary(
        n_docs=documents,
        n_positions=int(positions),
        mean_exit_layer=mean_exit,
        layers_saved=1 - mean_exit / ground.evaluation.num_layers,
        compute_saved=1 - sums["flops"] / sums["flops_full"],
        lens_reads=sums["lens_reads"] / positions,
        fidelity=sums["agrees"] / positions,
        quality=quality,
        retention=retention,
        **{name: sums[name] / documents for name in SEQUENCE_COLUMNS if name in sums},
    )


def _quality_of(ground: Ground, rows: Columns, chosen: Bools, said: Summary) -> tuple[float | None, float | None]:
    metric, full = ground.evaluation.metric, ground.full
    if not follows(metric) or full is None:
        return said.quality, said.retention
    quality, of_full = (quality_of(metric, one["quality"][chosen]) for one in (rows, full))
    return quality, retention_of(quality, of_full, ground.evaluation.chance)


def same(one: float | None, other: float | None) -> bool:
    """Whether two figures are the same up to the rounding of sums in another order."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def wrong_selection(ground: Ground, result: Result) -> Iterator[str]:
    """How often it stops before, at and after the oracle's layer."""
    shares = result.selection
    if set(shares) != {"before", "at", "after"} or not all(0 <= share <= 1 for share in shares.values()):
        yield "its layer selection should be three shares of 0 to 1: before, at and after the oracle's layer"
        return
    if not same(sum(shares.values()), 1.0):
        yield f"its layer selection sums to {sum(shares.values()):.6g}, not to 1"
    if ground.generates:
        return
    fidelity = float(result.documents["agrees"].sum() / result.documents["n_positions"].sum())
    if shares["before"] > 1 - fidelity + 1e-9 or shares["at"] > fidelity + 1e-9:
        yield "its layer selection is not that of its fidelity: before the oracle's layer nothing agrees, at it all do"


def wrong_metrics(ground: Ground, result: Result) -> Iterator[str]:
    """The main metric among all metrics, its standard error, and what the full model reaches."""
    yield from _impossible_metrics(result)
    metric, full = ground.evaluation.metric, ground.full
    if "all" not in result.summaries:
        return
    quality = result.summaries["all"].quality
    main = [value for name, value in result.metrics.items() if metric in (name, name_of(name))]
    if not any(same(value.value, quality) for value in main):
        yield f"none of its metrics is {metric} of {_shown(quality)}, its quality"
    if not follows(metric):
        return
    expected = MetricValue(quality, None if quality is None else stderr_of(metric, result.documents["quality"]))
    if not any(same(one.value, expected.value) and same(one.stderr, expected.stderr) for one in main):
        yield f"the standard error of {metric} does not follow from its rows"
    if full is not None and not same(result.quality_full, quality_of(metric, full["quality"])):
        yield f"quality_full is {_shown(result.quality_full)}, and that is not the full model's {metric}"


def _impossible_metrics(result: Result) -> Iterator[str]:
    """Values that a metric cannot have, whatever its documents' numbers are, which are not in the bundle."""
    for name, metric in result.metrics.items():
        numbers = [number for number in (metric.value, metric.stderr) if number is not None]
        share = is_mean(name) and metric.value is not None
        impossible = (metric.stderr or 0) < 0 or (share and not (min(numbers) >= 0 and max(numbers) <= 1))
        if impossible or not all(map(math.isfinite, numbers)):
            yield f"{name} is {_shown(metric.value)} ± {_shown(metric.stderr)}, which cannot be"
    bits, perplexity = (result.metrics.get(f"{name},none") for name in ("bits_per_byte", "byte_perplexity"))
    if bits and perplexity and None not in (bits.value, perplexity.value) and not _same_text(bits, perplexity):
        yield "its bits per byte and its perplexity per byte are not those of one text"


def _same_text(bits: MetricValue, perplexity: MetricValue) -> bool:
    """The one is the logarithm of the other, to base 2."""
    assert bits.value is not None
    assert perplexity.value is not None
    return perplexity.value > 0 and math.isclose(bits.value, math.log2(perplexity.value), rel_tol=1e-9, abs_tol=1e-12)
