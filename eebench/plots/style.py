"""How figures look: each name keeps one colour and one shape, so that colour alone never has to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eebench.errors import EEBenchError
from eebench.policy import Kind

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, without black and yellow: the site is read on dark and on white paper."""

GREY = "#7a7a7a"
"""Of controls, bounds and the no-skill line."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")

STARS = (
    "M0,-1L0.29,-0.4L0.95,-0.31L0.48,0.15L0.59,0.81L0,0.5L-0.59,0.81L-0.48,0.15L-0.95,-0.31L-0.29,-0.4Z",
    "M0,-1L0.3,-0.3L1,0L0.3,0.3L0,1L-0.3,0.3L-1,0L-0.3,-0.3Z",
)
"""Shapes of bounds, with five and with four points."""

Chart = Any
"""One of Altair's kinds of chart."""


@dataclass(frozen=True)
class Series:
    """Names in the order of the legend, with the colour and shape of each."""

    names: Sequence[str]
    colours: Sequence[str]
    shapes: Sequence[str]

    def colour(self, field: str, **options: Any) -> Any:
        """The colour channel of a field that holds these names."""
        import altair as alt

        scale = alt.Scale(domain=list(self.names), range=list(self.colours))
        return alt.Color(f"{field}:N", scale=scale, **{"title": None, "sort": None, **options})

    def shape(self, field: str, **options: Any) -> Any:
        """The shape channel of a field that holds these names."""
        import altair as alt

        scale = alt.Scale(domain=list(self.names), range=list(self.shapes))
        return alt.Shape(f"{field}:N", scale=scale, **{"title": None, "sort": None, **options})


def series(names: Sequence[str]) -> Series:
    """A colour and shape for each of some names that are alike in kind."""
    numbers = range(len(names))
    return Series(names, [_colour(number) for number in numbers], [_shape(number) for number in numbers])


def policy_series(kinds: Mapping[str, Kind]) -> Series:
    """The same for policies: those that are ranked have colours, controls are grey, bounds are grey stars."""
    ordered = {kind: sorted(name for name in kinds if kinds[name] == kind) for kind in ("policy", "control", "bound")}
    ranked = series(ordered["policy"])
    controls = [_shape(number) for number, _ in enumerate(ordered["control"])]
    bounds = [STARS[number % len(STARS)] for number, _ in enumerate(ordered["bound"])]
    others = [*ordered["control"], *ordered["bound"]]
    return Series(
        [*ranked.names, *others], [*ranked.colours, *[GREY] * len(others)], [*ranked.shapes, *controls, *bounds]
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _shape(number: int) -> str:
    """Another one each time a colour comes round again."""
    return SHAPES[(number + number // len(COLOURS)) % len(SHAPES)]


def check_installed() -> None:
    """
    Raises:
        EEBenchError: what draws figures and pages is not installed.
    """
    from importlib.util import find_spec

    if not all(map(find_spec, ("altair", "vl_convert", "jinja2"))):
        raise EEBenchError("figures and pages need altair, vl-convert and jinja2: pip install 'eebench[plots]'.")
