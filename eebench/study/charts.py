"""The figures of a study, as Altair charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from eebench.plots.style import COLOURS
from eebench.study.capability import Capability
from eebench.study.locating import Located, Reliability
from eebench.study.material import Material

if TYPE_CHECKING:
    import altair as alt

WIDTH, HEIGHT = 420, 260

Chart = Any
"""One of Altair's kinds of chart."""

Named = Sequence[tuple[str, Capability]]


def agreement(models: Named) -> Chart:
    """Per layer, how often its prediction is the final one, and by which layer an oracle has stopped."""
    frames = []
    for name, capability in models:
        layers = capability.layers
        for what, values in (
            ("says what the full model says", layers["agreement"]),
            ("an oracle has stopped", layers["oracle"].cumsum()),
            ("an oracle has stopped for good", layers["stable"].cumsum()),
        ):
            frames.append(pd.DataFrame({"layer": layers["layer"], "share": values, "what": what, "model": name}))
    return _lines(
        pd.concat(frames), y="share:Q", title="share of positions", color="what:N", dash="model:N", percent=True
    )


def distributions(models: Named) -> Chart:
    """Per layer, entropy, divergence to the final distribution, and surprise at the right token, in nats."""
    import altair as alt

    names = {
        "entropy": "entropy",
        "final_divergence": "divergence to the final distribution",
        "surprise": "surprise at the right token",
    }
    frames = []
    for name, capability in models:
        layers = capability.layers.assign(surprise=-capability.layers["target_logprob"])
        for key, what in names.items():
            frames.append(pd.DataFrame({"layer": layers["layer"], "nats": layers[key], "what": what, "model": name}))
    lines = _lines(pd.concat(frames), y="nats:Q", title="nats", color="model:N", width=210, height=200)
    return lines.facet(facet=alt.Facet("what:N", title=None), columns=3).resolve_scale(y="independent")


def confusion(located: Located, material: Material, policy: str) -> Chart:
    """Where a setting stops against where an oracle does."""
    import altair as alt

    counts = located.confusion(material.num_layers)
    oracle, exits = np.nonzero(counts)
    frame = pd.DataFrame({"oracle": oracle + 1, "exit": exits + 1, "share": counts[oracle, exits] / counts.sum()})
    layers = list(range(1, material.num_layers + 1))
    ticks = alt.Axis(values=[layer for layer in layers if layer == 1 or layer % 5 == 0], labelAngle=0)
    cells = (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X("oracle:O", title="layer an oracle stops at", scale=alt.Scale(domain=layers), axis=ticks),
            y=alt.Y("exit:O", title=f"layer {policy} stops at", scale=alt.Scale(domain=layers[::-1]), axis=ticks),
            color=alt.Color(
                "share:Q",
                title="positions",
                scale=alt.Scale(type="log", scheme="viridis"),
                legend=alt.Legend(format=".1~p"),  # shares down to one position in ten thousand
            ),
        )
        .properties(width=300, height=300, title=located.setting)
    )
    diagonal = (
        alt.Chart(pd.DataFrame({"layer": layers}))
        .mark_point(size=6, color="#D55E00", filled=True)
        .encode(x="layer:O", y="layer:O")
    )
    return cells + diagonal


def reliability(found: Reliability, num_layers: int) -> Chart:
    """How often a layer is right, against how confident it is; and how far apart the two are, layer by layer."""
    import altair as alt

    shown = sorted({max(1, round(num_layers * share)) for share in (0.25, 0.5, 0.75, 0.9)})
    curve = found.curve[found.curve["layer"].isin(shown)].assign(
        name=lambda frame: "layer " + frame["layer"].astype(str)
    )
    order = [f"layer {layer}" for layer in shown]
    axis = alt.Axis(format=".0%")
    lines = (
        alt.Chart(curve)
        .mark_line(point=True)
        .encode(
            x=alt.X("confidence:Q", title="confidence (probability of the top-1)", axis=axis),
            y=alt.Y(
                "agreement:Q", title="share that is the final prediction", axis=axis, scale=alt.Scale(domain=[0, 1])
            ),
            color=alt.Color(
                "name:N", title=None, sort=order, scale=alt.Scale(domain=order, range=COLOURS[: len(order)])
            ),
        )
    )
    ideal = (
        alt.Chart(pd.DataFrame({"at": [0.0, 1.0]}))
        .mark_line(strokeDash=[4, 4], color="#888")
        .encode(x="at:Q", y="at:Q")
    )
    errors = pd.DataFrame({"layer": np.arange(1, num_layers), "ece": found.ece[:-1]})  # the last is the final one
    bars = (
        alt.Chart(errors)
        .mark_bar(color=COLOURS[0])
        .encode(
            x=alt.X("layer:O", axis=_layer_axis(num_layers), title="layer"),
            y=alt.Y("ece:Q", title="expected calibration error"),
        )
    )
    size = {"width": 300, "height": HEIGHT}
    return alt.hconcat((ideal + lines).properties(**size), bars.properties(**size)).resolve_scale(color="independent")


def classes(table: pd.DataFrame, model: str) -> Chart:
    """Where an oracle stops, by what the predicted token is; bars end at the mean layer, rules are intervals."""
    import altair as alt

    base = alt.Chart(table)
    y = alt.Y("class:N", title=None, sort=None)
    bars = base.mark_point(filled=True, size=60, color=COLOURS[0]).encode(
        x=alt.X("oracle:Q", title="mean layer of the oracle", scale=alt.Scale(zero=False)), y=y
    )
    rules = base.mark_rule(color=COLOURS[0], strokeWidth=2).encode(x="oracle_low:Q", x2="oracle_high:Q", y=y)
    return (
        (rules + bars)
        .properties(width=220, height=alt.Step(18))
        .facet(facet=alt.Facet("by:N", title=None, sort=list(dict.fromkeys(table["by"]))), columns=3)
        .resolve_scale(y="independent")
        .properties(title=model)
    )


def half_layers(whole: Capability, half: Capability) -> Chart:
    """By which depth an oracle has stopped, on the grid of layers and on that of half layers."""
    frames = [
        pd.DataFrame({"layer": one.layers["layer"] * step, "share": one.layers["oracle"].cumsum(), "grid": grid})
        for one, step, grid in ((whole, 1.0, "layers"), (half, 0.5, "half layers"))
    ]
    return _lines(pd.concat(frames), y="share:Q", title="share of positions stopped", color="grid:N", percent=True)


def survival(table: pd.DataFrame) -> Chart:
    """How many answers are still the full model's, as they grow."""
    import altair as alt

    modes = ["full", "propagate", "copy"]
    lines = (
        alt.Chart(table)
        .mark_line(strokeCap="round")
        .encode(
            x=alt.X("tokens:O", title="tokens", axis=alt.Axis(labelAngle=0)),
            y=alt.Y(
                "same:Q", title="answers not departed", axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1])
            ),
            color=alt.Color("kv_mode:N", title="K/V", scale=_colours(modes), legend=alt.Legend(symbolType="stroke")),
            # Often the same: what is drawn later is thinner, and hides nothing.
            strokeWidth=alt.StrokeWidth(
                "kv_mode:N", title="K/V", scale=alt.Scale(type="ordinal", domain=modes, range=[8, 4.5, 1.5])
            ),
        )
        .properties(width=210, height=200)
    )
    return lines.facet(facet=alt.Facet("setting:N", title=None), columns=3)


def training(curve: pd.DataFrame) -> Chart:
    """A training: the losses on the way, and held-out text."""
    import altair as alt

    lines = (
        alt.Chart(curve)
        .mark_line(point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("on:N", title=None, scale=_colours(["training text", "held-out text"])),
        )
        .properties(width=210, height=200)
    )
    return lines.facet(facet=alt.Facet("what:N", title=None, sort=None), columns=3).resolve_scale(y="independent")


def _lines(
    frame: pd.DataFrame,
    *,
    y: str,
    title: str,
    color: str,
    dash: str | None = None,
    percent: bool = False,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> Chart:
    import altair as alt

    names = list(dict.fromkeys(frame[color.partition(":")[0]]))
    axis = alt.Axis(format=".0%") if percent else alt.Axis()
    encoded = {
        "x": alt.X("layer:Q", title="layer", scale=alt.Scale(domain=[0, int(frame["layer"].max())], nice=False)),
        "y": alt.Y(y, title=title, axis=axis),
        "color": alt.Color(color, title=None, sort=names, scale=_colours(names), legend=alt.Legend(labelLimit=300)),
    }
    if dash and frame[dash.partition(":")[0]].nunique() > 1:
        models = list(dict.fromkeys(frame[dash.partition(":")[0]]))
        strokes = alt.Legend(
            labelLimit=300, symbolType="stroke", symbolSize=300, symbolStrokeColor="black", symbolStrokeWidth=2
        )
        encoded["strokeDash"] = alt.StrokeDash(dash, title=None, sort=models, legend=strokes)
    lines = alt.Chart(frame).mark_line().encode(**encoded)
    encoded.pop("strokeDash", None)  # of a point it would make a legend in which all look the same
    points = alt.Chart(frame).mark_point(filled=True, size=18, opacity=1).encode(**encoded)
    return (lines + points).properties(width=width, height=height)


def _colours(names: Sequence[str]) -> alt.Scale:
    import altair as alt

    return alt.Scale(domain=list(names), range=list(COLOURS[: len(names)]))


def _layer_axis(num_layers: int) -> alt.Axis:
    import altair as alt

    return alt.Axis(values=[layer for layer in range(1, num_layers + 1) if layer == 1 or layer % 5 == 0], labelAngle=0)
