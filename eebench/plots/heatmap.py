"""EE-scores of policies on tasks, as a table of colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eebench.plots.style import Chart

CELL_WIDTH, CELL_HEIGHT = 60, 24


def heatmap(cells: Sequence[dict[str, Any]], policies: Sequence[str], tasks: Sequence[str]) -> Chart:
    """A row per policy, a column per task, a table per model; a score below -100 has the colour of -100.

    Args:
        cells: `model`, `task`, `policy`, `score` (None where there is none).
    """
    import altair as alt

    base = alt.Chart(alt.NamedData("cells")).encode(
        x=alt.X("task:N", title=None, sort=list(tasks), axis=alt.Axis(labelAngle=-40, labelLimit=200)),
        y=alt.Y("policy:N", title=None, sort=list(policies), axis=alt.Axis(labelLimit=200)),
        tooltip=["policy:N", "task:N", alt.Tooltip("score:Q", format=".1f", title="EE-score")],
    )
    scale = alt.Scale(scheme="blueorange", domain=[-100, 100], clamp=True, reverse=True)
    rects = base.mark_rect().encode(color=alt.Color("score:Q", title="EE-score", scale=scale))
    ink = alt.when("abs(datum.score) > 80").then(alt.value("white")).otherwise(alt.value("black"))
    numbers = base.transform_filter("isValid(datum.score)").mark_text(fontSize=11)
    chart = alt.layer(rects, numbers.encode(text=alt.Text("score:Q", format=".1f"), color=ink)).properties(
        width=CELL_WIDTH * len(tasks), height=CELL_HEIGHT * len(policies)
    )
    if len({cell["model"] for cell in cells}) > 1:
        chart = chart.facet(facet=alt.Facet("model:N", title=None), columns=1)
    return chart.properties(datasets={"cells": list(cells)})
