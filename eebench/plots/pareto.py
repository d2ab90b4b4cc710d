"""Saving against what is kept: settings as points, policies as curves, and the no-skill line below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eebench.plots.points import START, Curves, Point, X, Y, saving
from eebench.plots.style import GREY, Chart, Series
from eebench.reports.formats import MISSING

TITLES = {
    "layers": "layers saved",
    "compute": "compute saved, lens reads included",
    "fidelity": "fidelity",
    "quality": "quality retention",
}

DOMAINS = {"layers": (-0.02, 1.0), "compute": (-1.0, 1.0), "fidelity": (0.0, 1.04), "quality": (-0.2, 1.2)}
"""What is shown of each axis; what lies beyond is no saving and no quality worth a look."""

TICKS = {"layers": (0, 10), "compute": (-10, 10), "fidelity": (0, 10), "quality": (-2, 12)}
"""The first and the last tick of each axis, in tenths; every other one is shown."""

HEIGHT = 380


def pareto(x: X, y: Y, series: Series, width: int | str = "container", columns: int | None = None) -> Chart:
    """The chart without its data, which are named `points`, `curves` and `coin`: see `with_data`.

    Args:
        columns: of the legend; by default whatever the page says.
    """
    import altair as alt

    chosen = alt.selection_point(name="chosen", fields=["policy"], bind="legend")
    at = {"x": _axis(alt.X, x, saving(x, y)), "y": _axis(alt.Y, y, y)}
    legend = _legend(columns)
    colour = series.colour("policy", legend=legend)
    line = (
        alt.Chart(alt.NamedData("coin"))
        .mark_line(color=GREY, strokeDash=[5, 4], clip=True)
        .encode(**at, tooltip=alt.value("no-skill line: tossing a coin at every position"))
    )
    seen = alt.when(chosen)
    curves = (
        alt.Chart(alt.NamedData("curves"))
        .mark_line(clip=True, strokeWidth=1.5)
        .encode(**at, color=colour, opacity=seen.then(alt.value(0.7)).otherwise(alt.value(0.05)))
    )
    marks = (
        alt.Chart(alt.NamedData("points"))
        .transform_filter(f"isValid(datum.{y})")
        .transform_calculate(retention=f"isValid(datum.quality) ? format(datum.quality, '.1%') : '{MISSING}'")
        .mark_point(filled=True, clip=True)
        .encode(
            **at,
            color=colour,
            shape=series.shape("policy", legend=legend),
            size=alt.when("datum.kind == 'bound'").then(alt.value(190)).otherwise(alt.value(60)),
            opacity=seen.then(alt.value(0.85)).otherwise(alt.value(0.05)),
            tooltip=_tooltip(y),
        )
        .add_params(chosen)
    )
    return alt.layer(line, curves, marks).properties(width=width, height=HEIGHT)


def with_data(chart: Chart, x: X, y: Y, points: Sequence[Point], curves: Curves, end: Point | None) -> Chart:
    """The chart of a plane, drawn from these points and curves and this end of the no-skill line."""
    on_curves = [
        {"policy": policy, saving(x, y): saved, y: kept} for policy, curve in curves.items() for saved, kept in curve
    ]
    return chart.properties(datasets={"points": list(points), "curves": on_curves, "coin": [START, end] if end else []})


def _axis(channel: Any, name: str, field: str) -> Any:
    import altair as alt

    scale = alt.Scale(domain=list(DOMAINS[name]), nice=False)
    first, last = TICKS[name]
    ticks = alt.Axis(format=".0%", values=[tenth / 10 for tenth in range(first, last + 1, 2)])
    return channel(f"{field}:Q", title=TITLES[name], scale=scale, axis=ticks)


def _legend(columns: int | None) -> Any:
    import altair as alt

    fixed = {"columns": columns} if columns else {}
    return alt.Legend(orient="bottom", symbolOpacity=1, symbolSize=80, labelLimit=150, **fixed)


def _tooltip(y: Y) -> list[Any]:
    import altair as alt

    shown = {saving("layers", y): "layers saved", saving("compute", y): "compute saved"}
    shown |= {"fidelity": "fidelity"}
    return [
        alt.Tooltip("setting:N"),
        *(alt.Tooltip(f"{field}:Q", title=title, format=".1%") for field, title in shown.items()),
        alt.Tooltip("retention:N"),
        alt.Tooltip("exit:Q", title="mean exit layer", format=".1f"),
        alt.Tooltip("kind:N"),
    ]
