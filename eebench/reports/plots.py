"""Plots in the terminal, by plotext."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.errors import EEBenchError

WIDTH, HEIGHT = 76, 22


def pareto_plot(title: str, curves: Mapping[str, NDArray[np.float64]]) -> str:
    """Pareto curves, (layers saved, fidelity) each, with the names of whose they are. [points, 2] each"""
    plt = _plotext()
    plt.title(title)
    plt.xlabel("layers saved (%)")
    plt.ylabel("fidelity (%)")
    for name, points in curves.items():
        plt.plot((100 * points[:, 0]).tolist(), (100 * points[:, 1]).tolist(), label=name)
    return _drawn(plt)


def exit_plot(title: str, histograms: Mapping[str, Sequence[int]]) -> str:
    """How many positions stop at each layer, in percent, a bar chart for each setting."""
    drawn = []
    for name, counts in histograms.items():
        plt = _plotext()
        plt.title(f"{title}: {name}")
        plt.xlabel("exit layer")
        total = sum(counts) or 1
        plt.bar(list(range(1, len(counts) + 1)), [100 * count / total for count in counts])
        drawn.append(_drawn(plt))
    return "\n".join(drawn)


def _plotext() -> Any:
    """A clean canvas."""
    try:
        import plotext as plt
    except ImportError:
        raise EEBenchError("plots in the terminal need plotext: pip install 'eebench[plots]'.") from None
    plt.clear_figure()
    plt.theme("clear")
    plt.plotsize(WIDTH, HEIGHT)
    return plt


def _drawn(plt: Any) -> str:
    """The canvas as plain text, without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in plt.uncolorize(plt.build()).splitlines())
