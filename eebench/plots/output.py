"""Figures as files."""

from __future__ import annotations

from pathlib import Path

from eebench.errors import EEBenchError
from eebench.files import write_whole
from eebench.plots.style import Chart

FORMATS = (".svg", ".png", ".pdf")

_PIXELS = 2.0
"""Pixels of a PNG per unit of the chart."""


def check_output(path: Path) -> None:
    """
    Raises:
        EEBenchError: nothing can be written there, or not in this format.
    """
    if path.suffix.lower() not in FORMATS:
        raise EEBenchError(f"{path} is not the name of a figure: end it in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
    if not path.parent.is_dir():
        raise EEBenchError(f"{path} cannot be written: there is no folder {path.parent}.")


def write(chart: Chart, path: Path) -> None:
    """Write a chart whole or not at all.

    Raises:
        EEBenchError: it cannot be written.
    """
    check_output(path)
    try:
        write_whole(path, _drawn(chart, path.suffix.lower()))
    except OSError as error:
        raise EEBenchError(f"{path} cannot be written: {error.strerror or error}.") from None


def _drawn(chart: Chart, suffix: str) -> bytes:
    import vl_convert

    spec = chart.to_dict()
    if suffix == ".png":
        png: bytes = vl_convert.vegalite_to_png(spec, scale=_PIXELS)
        return png
    if suffix == ".pdf":
        pdf: bytes = vl_convert.vegalite_to_pdf(spec)
        return pdf
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg.encode()
