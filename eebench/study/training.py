"""The curve of a training as a figure."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from eebench.files import write_whole
from eebench.study.charts import training
from eebench.study.render import svg

FULL, EARLY, SAVING = "loss of the full model (nats)", "loss of earlier layers (nats)", "layers an oracle saves"


def draw_curve(folder: Path) -> Path:
    """Draw the `curve.json` that `eebench tune` has left in a folder, as `curve.svg` beside it."""
    frame = curve_frame(json.loads((folder / "curve.json").read_text(encoding="utf-8")))
    path = folder / "curve.svg"
    write_whole(path, svg(training(frame)).encode())
    return path


def curve_frame(curve: dict[str, list[dict[str, float]]]) -> pd.DataFrame:
    """A row per point: `step`, `what` is shown, its `value`, and whether it was measured `on` training text."""
    rows = [
        *((point["step"], FULL, point["full_loss"], "training text") for point in curve["trained"]),
        *((point["step"], FULL, point["full_loss"], "held-out text") for point in curve["held_out"]),
        *((point["step"], EARLY, point["early_loss"], "training text") for point in curve["trained"]),
        *((point["step"], SAVING, point["oracle_saving"], "held-out text") for point in curve["held_out"]),
    ]
    return pd.DataFrame(rows, columns=["step", "what", "value", "on"])
