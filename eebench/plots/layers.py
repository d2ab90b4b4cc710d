"""What happens layer by layer: where settings stop, and how often a layer already says what the full model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eebench.plots.style import COLOURS, Chart, series

WIDTH, HEIGHT = 420, 280


def lens(curves: Mapping[str, Sequence[float]], width: int | str = WIDTH, columns: int | None = None) -> Chart:
    """Share of positions at which each layer's top-1 is the full model's.

    Args:
        curves: name -> share at each layer. [layers]
        columns: of the legend; by default whatever the page says.
    """
    import altair as alt

    depths = {len(shares) for shares in curves.values()}
    rows = [
        {"name": name, "layer": layer, "depth": layer / len(shares), "share": share}
        for name, shares in curves.items()
        for layer, share in enumerate(shares, start=1)
    ]
    look = series(list(curves))
    legend = None if len(curves) == 1 else _legend(columns)
    return (
        alt.Chart(alt.NamedData("lens"))
        .mark_line(point=alt.OverlayMarkDef(size=28))
        .encode(
            x=_layers(max(depths)) if len(depths) == 1 else _depth(),
            y=alt.Y(
                "share:Q",
                title="positions that agree with the full model",
                axis=alt.Axis(format=".0%"),
                scale=alt.Scale(domain=[0, 1]),
            ),
            color=look.colour("name", legend=legend),
            shape=look.shape("name", legend=legend),
            tooltip=[alt.Tooltip("name:N", title=" "), "layer:Q", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=width, height=HEIGHT, datasets={"lens": rows})
    )


def _layers(count: int) -> Any:
    import altair as alt

    scale = alt.Scale(domain=[1, count] if count > 1 else [0, 2], nice=False)
    return alt.X("layer:Q", title="layer", scale=scale, axis=alt.Axis(format="d", tickMinStep=1))


def _depth() -> Any:
    import altair as alt

    scale = alt.Scale(domain=[0, 1], nice=False)
    return alt.X("depth:Q", title="depth: layer / number of layers", scale=scale, axis=alt.Axis(format=".0%"))


def _legend(columns: int | None) -> Any:
    import altair as alt

    return alt.Legend(orient="bottom", labelLimit=260, **({"columns": columns} if columns else {}))


# --- exit layers -------------------------------------------------------------------------------------------------


def histogram(width: int | str = WIDTH, height: int = 200, *, reference: bool = True) -> Chart:
    """Where one setting stops; its data, named `exits`, are rows of `shares`.

    Args:
        reference: whether there are rows of a reference, drawn as ticks.
    """
    import altair as alt

    encoded = {
        "x": alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=4)),
        "y": alt.Y("share:Q", title="positions that stop there", axis=alt.Axis(format=".0%")),
        "tooltip": ["setting:N", "layer:O", alt.Tooltip("share:Q", format=".1%")],
    }
    base = alt.Chart(alt.NamedData("exits"))
    bars = base.transform_filter("!datum.reference").mark_bar(color=COLOURS[0]).encode(**encoded)
    ticks = base.transform_filter("datum.reference").mark_tick(color=COLOURS[1], thickness=3).encode(**encoded)
    return alt.layer(bars, *([ticks] if reference else [])).properties(width=width, height=height)


def histograms(counts: Mapping[str, Sequence[int]], reference: Sequence[int] | None = None) -> Chart:
    """A histogram for each of several settings.

    Args:
        counts: setting -> positions that stop at each layer. [layers]
        reference: the oracle's, drawn into each.
    """
    import altair as alt

    rows = []
    for setting, positions in counts.items():
        rows += shares(setting, positions)
        if reference is not None:
            rows += [{**row, "setting": setting} for row in shares("oracle", reference, reference=True)]
    width, height = (WIDTH, 200) if len(counts) == 1 else (200, 120)
    header = alt.Header(labelLimit=width, labelFontWeight="bold")
    facet = alt.Facet("setting:N", title=None, sort=list(counts), header=header)
    chart = histogram(width, height, reference=reference is not None)
    return chart.facet(facet=facet, columns=min(3, len(counts))).properties(datasets={"exits": rows})


def shares(setting: str, positions: Sequence[int], *, reference: bool = False) -> list[dict[str, Any]]:
    """The rows of a histogram: the share of positions that stop at each layer."""
    total = sum(positions) or 1
    return [
        {"setting": setting, "layer": layer, "share": count / total, "reference": reference}
        for layer, count in enumerate(positions, start=1)
    ]
