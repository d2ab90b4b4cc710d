"""A setting's figures under draws of documents: the sample itself first, then every draw."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eebench.quality import drawn_quality
from eebench.ranking.bootstrap import Resampler
from eebench.records.results import Columns, Evaluation, StoredResult

Draws = NDArray[np.float64]
"""A figure of the sample itself, and then of each draw. [1 + draws]"""


class Documents(Protocol):
    """Where the per-document rows of results are."""

    def of_results(self, results: Sequence[StoredResult]) -> Mapping[int, Columns]:
        """The columns of `eebench.records.results.Result.documents`, by the results' ids."""
        ...

    def of_evaluation(self, evaluation_id: int) -> Columns:
        """The columns of `eebench.records.results.Evaluation.documents`."""
        ...


@dataclass(frozen=True)
class DrawnFigures:
    """What `eebench.records.results.Summary` has of some documents, draw by draw.

    Attributes:
        faithful: fidelity, and in generation the share of the answer that is kept.
        quality: the task's main metric; None where documents' numbers alone do not give it.
    """

    layers_saved: Draws
    compute_saved: Draws
    faithful: Draws
    quality: Draws | None


def weights_of(task: str, documents: int) -> NDArray[np.float64]:
    """How often each document is drawn, the same for all models on a task. [1 + draws, documents]"""
    return Resampler([documents], seed=zlib.crc32(task.encode())).weights


def drawn_figures(rows: Columns, weights: NDArray[np.float64], evaluation: Evaluation) -> DrawnFigures:
    """The figures of a setting, from its rows per document.

    Args:
        rows: the columns of `eebench.records.results.Result.documents` of the documents that are drawn. [documents]
        weights: as `weights_of` gives them.
    """
    rows = {name: np.asarray(values, dtype=np.float64) for name, values in rows.items()}
    sums = {name: weights @ values for name, values in rows.items() if values.ndim == 1}
    return DrawnFigures(
        layers_saved=1 - sums["exit_layers"] / sums["n_positions"] / evaluation.num_layers,
        compute_saved=1 - sums["flops"] / sums["flops_full"],
        faithful=sums["kept"] / weights.sum(axis=1) if "kept" in sums else sums["agrees"] / sums["n_positions"],
        quality=drawn_quality(evaluation.metric, rows["quality"], weights),
    )
