"""What the checks of an evaluation stand on: what all its settings share, and the rows that others are read beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.cost import CostModel
from eebench.policy import Bools
from eebench.records.results import Columns, Evaluation
from eebench.scoring import PARTS, SEQUENCE_COLUMNS
from eebench.submission.bundles import Measured

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Ground:
    """An evaluation of a bundle, as its checks need it.

    Attributes:
        full: rows of the full model, or None where the bundle has none.
        oracle: rows of the oracle, None where it was not measured, or settings make positions of their own.
        generates: whether they do.
        parts: the documents of `all`, and of each part that has any. [documents]
    """

    measured: Measured

    @property
    def evaluation(self) -> Evaluation:
        return self.measured.evaluation

    @property
    def documents(self) -> Columns:
        return self.measured.evaluation.documents

    @cached_property
    def cost(self) -> CostModel:
        return CostModel.from_json(self.evaluation.cost)

    @cached_property
    def full(self) -> Columns | None:
        return self._rows_of("full")

    @cached_property
    def oracle(self) -> Columns | None:
        return None if self.generates else self._rows_of("oracle")

    @cached_property
    def generates(self) -> bool:
        return any("kept" in result.documents for result in self.measured.results)

    @cached_property
    def parts(self) -> Mapping[str, Bools]:
        found: dict[str, Bools] = {"all": np.ones(len(self.documents["id"]), dtype=bool)}
        found |= {part: self.documents["part"] == part for part in PARTS}
        return {part: chosen for part, chosen in found.items() if chosen.any()}

    def _rows_of(self, setting: str) -> Columns | None:
        rows = (result.documents for result in self.measured.results if result.setting == setting)
        return next((one for one in rows if not wrong_lengths(one, len(self.documents["id"]))), None)


def wrong_lengths(rows: Columns, documents: int) -> str:
    """Whether every column has a row per document."""
    for name, values in rows.items():
        if len(values) != documents:
            return f"documents are missing: {name} has {len(values)} rows for {documents} documents"
    there = [name for name in SEQUENCE_COLUMNS if name in rows]
    if there and len(there) < len(SEQUENCE_COLUMNS):
        return f"its rows have {there[0]} and not all of {', '.join(SEQUENCE_COLUMNS)}"
    return ""


def first_of(ids: NDArray[Any], wrong: Bools) -> int:
    """The number of the first document that is wrong. [documents, ...]"""
    flat = wrong.reshape(len(wrong), -1).any(axis=1)
    return int(ids[int(flat.argmax())])
