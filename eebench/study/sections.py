"""A study put into words: what each part found, with its table and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from eebench.files import slug
from eebench.ranking.bootstrap import LEVEL, Estimate, interval
from eebench.ranking.drawn_figures import Draws
from eebench.study import charts
from eebench.study.full_loss import loss_by_position
from eebench.study.kv_copy import MODES, quality_by_length, side_by_side, survival
from eebench.study.locating import location_row, reliability, savings_at
from eebench.study.material import Material
from eebench.study.measure import CALIBRATED_NAME, Study
from eebench.study.report import Column, Figure, Report, Section, Table
from eebench.study.scores import score_draws
from eebench.study.subwords import exits_by_class
from eebench.study.verdict import Claim, claims_against, claims_of

SHOWN_LAYERS = 8
"""Rows of the table of layers that are shown; the data has them all."""

BY_CLASS = ("confidence", "entropy")
"""Policies whose exits are told class by class."""

AGREEMENT_ALT = (
    "Line chart by layer: the share of positions at which it says what the full model says, and the shares at which an "
    "oracle, and one that waits until the prediction stays, have stopped."
)

DISTRIBUTIONS_ALT = (
    "Three line charts by layer, in nats: entropy, divergence to the final distribution, and surprise at the right "
    "token."
)


def report(study: Study, against: Study | None, command: str) -> Report:
    """The report of a model, or of two that are held against each other."""
    name = study.material.model
    if against is None:
        sections = [_verdict(claims_of(study.studied)), *_sections(study)]
        return Report(f"Early exit in {name}", command, sections)
    claims = [
        *claims_of(study.studied),
        *claims_against(study.studied, against.studied),
        *claims_of(against.studied)[1:],
    ]
    sections = [_verdict(claims), _compared(study, against)]
    for one in (study, against):
        sections += [replace(section, model=one.material.model) for section in _sections(one)]
    return Report(f"Early exit in {name}, and in {against.material.model}", command, sections)


def _sections(study: Study) -> Iterator[Section]:
    yield _material(study.material)
    yield _capability(study)
    yield _locating(study)
    yield _calibration(study)
    yield _subwords(study)
    if study.half is not None or study.half_refused:
        yield _half_layers(study)
    if study.studied.decoded:
        yield _kv_copy(study)


def percent(estimate: Estimate) -> str:
    """A share with its interval."""
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def signed(estimate: Estimate, digits: int) -> str:
    """A difference with its interval."""
    return f"{estimate.value:+z.{digits}f} [{estimate.low:+z.{digits}f}, {estimate.high:+z.{digits}f}]"


# --- verdict -----------------------------------------------------------------------------------------------------


def _verdict(claims: Sequence[Claim]) -> Section:
    frame = pd.DataFrame(
        [
            {
                "claim": claim.claim,
                "finding": claim.finding,
                "measured": claim.measured,
                "test": claim.test,
                "difference": claim.difference.value,
                "low": claim.difference.low,
                "high": claim.difference.high,
                "unit": claim.unit,
                "interval": str(claim.difference),
            }
            for claim in claims
        ]
    )
    columns = (
        Column("claim", "claim", left=True),
        Column("finding", "finding", left=True),
        Column("measured", "measured", left=True),
        Column("test", "above 0 if the claim holds", left=True),
        Column("interval", f"difference [{LEVEL:.0%}]", left=True),
    )
    said = (
        "The claims are those of Shan et al. 2024 (arXiv 2412.01455). Each is tested by a difference with its "
        f"{LEVEL:.0%} interval, from a paired bootstrap over documents: supported where the interval lies above 0, not "
        "supported where it lies below, undecided where it holds 0.",
    )
    return Section("Verdict", said, [Table("verdict", "Claims", frame, columns)])


def _compared(before: Study, after: Study) -> Section:
    models = [(one.material.model, one.studied.capability) for one in (before, after)]
    said = (
        "EE-score by layers, over all tasks: 0 is a coin tossed at every position, 100 is each model's own oracle.",
    )
    figures = [
        Figure(
            "agreement",
            partial(charts.agreement, models),
            "How early each model's layers say what its last one says.",
            f"{AGREEMENT_ALT} Solid: {before.material.model}; dashed: {after.material.model}.",
        ),
        Figure(
            "distributions",
            partial(charts.distributions, models),
            "What the layers' distributions are like.",
            f"{DISTRIBUTIONS_ALT} A line for each model.",
        ),
    ]
    tables = [_scores(before.material, after.material), _losses(before.material, after.material)]
    return Section("Before and after", said, tables, figures)


def _losses(before: Material, after: Material) -> Table:
    frame = loss_by_position(before, after)
    differences = zip(frame["difference"], frame["low"], frame["high"], strict=True)
    frame["interval"] = [signed(Estimate(*difference), 3) for difference in differences]
    columns = [
        Column("position", "position in the text", left=True),
        Column("positions", "positions", ",d"),
        Column("before", before.model, ".3f"),
        Column("after", after.model, ".3f"),
        Column("interval", f"difference [{LEVEL:.0%}]", left=True),
    ]
    return Table("loss-by-position", "Loss of the full models on running text, nats per token", frame, columns)


def _scores(before: Material, after: Material) -> Table:
    drawn = [score_draws(material) for material in (before, after)]
    rows = []
    for policy, first in drawn[0].items():
        second = drawn[1].get(policy)
        if second is None:
            continue
        differs = interval(second - first)
        rows.append(
            {
                "policy": policy,
                "before": first[0],
                "after": second[0],
                "difference": differs.value,
                "low": differs.low,
                "high": differs.high,
                "interval": signed(differs, 1),
            }
        )
    frame = pd.DataFrame(rows, columns=["policy", "before", "after", "difference", "low", "high", "interval"])
    columns = [
        Column("policy", "policy", left=True),
        Column("before", before.model, "z.1f"),
        Column("after", after.model, "z.1f"),
        Column("interval", f"difference [{LEVEL:.0%}]", left=True),
    ]
    return Table("ee-scores", "EE-scores", frame, columns)


# --- one model ---------------------------------------------------------------------------------------------------


def _material(material: Material) -> Section:
    frame = pd.DataFrame(
        [
            {
                "task": task.name,
                "documents": task.evaluation.n_docs,
                "positions": task.trace.num_positions,
                "metric": task.evaluation.metric,
                "full": _full_quality(task.results),
                "chance": task.evaluation.chance,
                "informative": "yes" if task.evaluation.informative else "no",
            }
            for task in material.tasks
        ]
    )
    columns = (
        Column("task", "task", left=True),
        Column("documents", "documents", "d"),
        Column("positions", "positions", ",d"),
        Column("metric", "metric", left=True),
        Column("full", "full model", ".3f"),
        Column("chance", "chance", ".3f"),
        Column("informative", "above chance", left=True),
    )
    r, even = material.cost.head_to_layer, material.cost.break_even_layer
    said = (
        f"{material.model} is {material.model_id}: {material.num_layers} layers; one read of the head costs as much as "
        f"{r:.1f} of them, so a policy that reads it at every layer saves compute only below layer {even:.1f}. All "
        f"figures are over the {material.trace.num_positions:,} scored positions of these tasks, pooled.",
    )
    return Section("What was looked at", said, [Table(f"tasks-{slug(material.model)}", "Tasks", frame, columns)])


def _full_quality(results: Sequence[object]) -> float | None:
    return next((getattr(result, "quality_full", None) for result in results), None)


def _capability(study: Study) -> Section:
    material, found = study.material, study.studied.capability
    columns = (
        Column("layer", "layer", "d"),
        Column("agreement", "agrees", ".1%"),
        Column("target_logprob", "ln p(target)", ".2f"),
        Column("entropy", "entropy", ".2f"),
        Column("final_divergence", "divergence to final", ".2f"),
        Column("oracle", "oracle stops", ".1%"),
        Column("stable", "stable oracle stops", ".1%"),
    )
    every = max(1, round(material.num_layers / SHOWN_LAYERS))
    shown = found.layers[(found.layers["layer"] % every == 0) | (found.layers["layer"] >= material.num_layers - 1)]
    said = (
        f"An oracle that stops at the first layer whose prediction is the final one saves {percent(found.oracle)} of "
        f"the layers; one that waits until it stays so, {percent(found.stable)}. Were the final predictions dealt out "
        f"among the positions at random, the first would still save {percent(found.by_chance)}.",
        f"In compute the oracle is worth {percent(found.compute_with_head)} with its one read of the head counted on "
        f"both sides, {percent(found.compute_without_head)} of the blocks alone. EAS (a = 0.5, similarity taken as "
        f"agreement) is {found.eas:.3f}.",
    )
    figures = [
        Figure(
            f"agreement-{slug(material.model)}",
            partial(charts.agreement, [(material.model, found)]),
            "How often a layer says what the full model says, and by which layer an oracle has stopped.",
            AGREEMENT_ALT,
        ),
        Figure(
            f"distributions-{slug(material.model)}",
            partial(charts.distributions, [(material.model, found)]),
            "What the layers' distributions are like, in nats.",
            DISTRIBUTIONS_ALT,
        ),
    ]
    table = Table(f"layers-{slug(material.model)}", "Layers", found.layers, columns, shown)
    return Section("Natural capability", said, [table], figures)


def _locating(study: Study) -> Section:
    material, located = study.material, study.studied.located
    rows = [{"policy": policy, **location_row(one, material)} for policy, one in located.items()]
    frame = pd.DataFrame(rows).sort_values("within_1", ascending=False, ignore_index=True)
    columns = (
        Column("policy", "policy", left=True),
        Column("setting", "setting", left=True),
        Column("early", "early", ".1%"),
        Column("exact", "exact", ".1%"),
        Column("late", "late", ".1%"),
        Column("within_1", "within 1", ".1%"),
        Column("within_2", "within 2", ".1%"),
        Column("right", "right", ".1%"),
        Column("layers_saved", "saved", ".1%"),
    )
    saved = savings_at(material)
    saved["at"] = saved["keeping"] + saved["level"].map(" {:.0%}".format)
    wide = saved.pivot_table(index="policy", columns="at", values="layers_saved", sort=False)
    wide = wide.sort_values("fidelity 90%", ascending=False).reset_index() if "fidelity 90%" in wide else wide
    of_oracle = saved[(saved["keeping"] == "fidelity") & (saved["policy"] != "oracle")]
    said = [
        "Of each policy the setting that is most often within one layer of the oracle on calibration documents, as it "
        "does on test documents. Early is wrong: no layer before the oracle's makes the final prediction. Late is "
        "wasted; right counts the stops whose prediction is the final one.",
        "The second table has the layers saved on test documents by the setting picked on calibration documents to "
        "keep a fidelity, or a retention of quality (informative tasks), means over tasks.",
    ]
    real = of_oracle[~of_oracle["policy"].isin(("oracle-stable", "static", "random", "full"))]
    if len(real):
        best = real.loc[real.groupby("level")["of_oracle"].idxmax()].sort_values("level", ascending=False)
        shares = "; ".join(f"at {row.level:.0%} {row.policy} gets {row.of_oracle:.1%}" for row in best.itertuples())
        said.append(f"Of what the oracle saves: {shares}.")
    tables = [
        Table(f"locating-{slug(material.model)}", "Where policies stop, against the oracle", frame, columns),
        Table(
            f"savings-{slug(material.model)}",
            "Layers saved",
            wide,
            [
                Column("policy", "policy", left=True),
                *(Column(key, key, ".1%") for key in wide.columns if key != "policy"),
            ],
        ),
    ]
    figures = []
    if "confidence" in located:
        chart = partial(charts.confusion, located["confidence"], material, "confidence")
        caption = "Where confidence stops against where it could have; on the dotted line they are the same."
        alt = "Heat map: layers confidence stops at by layers an oracle stops at, coloured by the share of positions."
        figures.append(Figure(f"confusion-{slug(material.model)}", chart, caption, alt))
    return Section("Locating the layer", said, tables, figures)


def _does_calibrating_help(plain: Draws, calibrated: Draws) -> str:
    gained = interval(calibrated - plain)
    finding = {1: "helps", 0: "cannot be told to help or to harm", -1: "harms"}[gained.sign]
    return (
        f"Calibrating each layer on calibration documents {finding}: the EE-score of confidence is {plain[0]:z.1f} "
        f"plain and {calibrated[0]:z.1f} calibrated, a difference of {signed(gained, 1)}."
    )


def _calibration(study: Study) -> Section:
    material = study.material
    found = reliability(material)
    said = [
        f"Confidence is calibrated where a top-1 of probability p is the final prediction in p of the cases. Before "
        f"the last layer the expected calibration error is {found.ece[:-1].min():.3f} to {found.ece[:-1].max():.3f}."
    ]
    scores = score_draws(material)
    if "confidence" in scores and CALIBRATED_NAME in scores:
        said.append(_does_calibrating_help(scores["confidence"], scores[CALIBRATED_NAME]))
    caption = "How often layers are right against how confident they are, and the error of each layer."
    alt = (
        "Line chart: of top-1s by their confidence, the share that are the final prediction, for some layers. "
        "Bar chart: expected calibration error by layer."
    )
    chart = partial(charts.reliability, found, material.num_layers)
    figure = Figure(f"reliability-{slug(material.model)}", chart, caption, alt)
    frame = found.curve
    columns = [
        Column("layer", "layer", "d"),
        Column("confidence", "confidence", ".3f"),
        Column("agreement", "agreement", ".3f"),
        Column("share", "share", ".1%"),
    ]
    last = frame[frame["layer"] == material.num_layers - 1]
    name, title = f"reliability-{slug(material.model)}", f"Layer {material.num_layers - 1}"
    table = Table(name, title, frame, columns, last, named=1)
    return Section("Calibration", said, [table], [figure])


def _subwords(study: Study) -> Section:
    material, located = study.material, study.studied.located
    policies = {policy: located[policy].exit_layer for policy in BY_CLASS if policy in located}
    frame = exits_by_class(material, policies)
    columns = [
        Column("by", "by", left=True),
        Column("class", "class", left=True),
        Column("positions", "positions", ",d"),
        Column("oracle", "oracle", ".1f"),
        Column("interval", f"[{LEVEL:.0%}]"),
        Column("stable", "stable", ".1f"),
        *(Column(policy, policy, ".1f") for policy in policies),
    ]
    frame["interval"] = [
        f"{low:.1f} to {high:.1f}" for low, high in zip(frame["oracle_low"], frame["oracle_high"], strict=True)
    ]
    said = (
        "The mean layer at which positions could stop, by what the predicted token is, and where the settings of the "
        "table above do stop. Words are runs of letters; other tokens are numbers, punctuation and blanks.",
    )
    figure = Figure(
        f"classes-{slug(material.model)}",
        partial(charts.classes, frame, material.model),
        "Mean layer of the oracle, with intervals.",
        "Dot plots: the mean layer an oracle stops at, by class of token. The table has the figures.",
    )
    table = Table(f"classes-{slug(material.model)}", "Exits by class", frame, columns, named=1)
    return Section("Sub-words", said, [table], [figure])


def _half_layers(study: Study) -> Section:
    if study.half is None:
        return Section("Sub-layers", (study.half_refused,))
    whole, half = study.studied.capability, study.half
    said = (
        f"Read after each block's attention as well as after its MLP, the oracle saves {percent(half.oracle)} of the "
        f"half layers, against {percent(whole.oracle)} of the layers; the stable one {percent(half.stable)} against "
        f"{percent(whole.stable)}. In compute, half blocks counted, {percent(half.compute_with_head)} against "
        f"{percent(whole.compute_with_head)}.",
    )
    columns = (
        Column("layer", "half layer", "d"),
        Column("agreement", "agrees", ".1%"),
        Column("oracle", "oracle", ".1%"),
    )
    shown = half.layers.iloc[-SHOWN_LAYERS:]
    name = f"half-layers-{slug(study.material.model)}"
    caption = "By which depth an oracle has stopped."
    alt = "Line chart by depth: the share of positions at which an oracle has stopped, by layers and by half layers."
    figure = Figure(name, partial(charts.half_layers, whole, half), caption, alt)
    return Section("Sub-layers", said, [Table(name, "Last half layers", half.layers, columns, shown)], [figure])


def _kv_copy(study: Study) -> Section:
    decoded, material = study.studied.decoded, study.material
    alive, quality = survival(decoded), quality_by_length(decoded)
    first = (
        Column("setting", "setting", left=True),
        Column("tokens", "tokens", "d"),
        Column("answers", "answers", "d"),
        *(Column(f"same {mode}", mode, ".1%") for mode in MODES),
    )
    second = (
        Column("task", "task", left=True),
        Column("setting", "setting", left=True),
        Column("answers", "answers", left=True),
        Column("documents", "documents", "d"),
        *(Column(f"quality {mode}", f"quality {mode}", ".3f") for mode in MODES),
        *(Column(f"kept {mode}", f"kept {mode}", ".1%") for mode in MODES),
    )
    tasks = ", ".join(dict.fromkeys(one.task for one in decoded))
    said = (
        f"The same settings decoded with exact K/V (full), with K/V made of the exit state by each skipped layer "
        f"(propagate), and with the exit layer's K/V copied upward (copy), on {tasks}. An answer departs at its "
        f"first token that is not the full model's; short and long are told by the median of the full model's answers.",
    )
    name = slug(material.model)
    tables = [
        Table(f"survival-{name}", "Answers that are still the full model's", alive, first, side_by_side(alive)),
        Table(f"quality-by-length-{name}", "Quality by length", quality, second, side_by_side(quality)),
    ]
    caption = "Answers that have not departed, as they grow."
    alt = "Line charts, one for each setting: the share of answers not departed by tokens written, a line per KV mode."
    figure = Figure(f"survival-{name}", partial(charts.survival, alive), caption, alt)
    return Section("K/V of skipped layers", said, tables, [figure])
