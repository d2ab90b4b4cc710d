"""What copied K/V cost as an answer grows: the same settings under KV modes `full`, `propagate` and `copy`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eebench.ranking.bootstrap import Resampler
from eebench.records.results import Evaluation, KvMode, Result

LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128)
MODES: tuple[KvMode, ...] = ("full", "propagate", "copy")


@dataclass(frozen=True)
class Decoded:
    """A setting that was executed on a generation task under a KV mode."""

    task: str
    kv_mode: KvMode
    setting: str
    evaluation: Evaluation
    result: Result

    @property
    def full_length(self) -> NDArray[np.float64]:
        """Tokens of the full model's own answer. [documents]"""
        return np.asarray(self.evaluation.documents["n_positions"], dtype=np.float64)

    @property
    def same_tokens(self) -> NDArray[np.float64]:
        """Tokens until the answer first departs from the full model's. [documents]"""
        return np.asarray(self.result.documents["common_prefix"], dtype=np.float64)

    @property
    def quality(self) -> NDArray[np.float64]:
        """The task's main metric. [documents]"""
        return np.asarray(self.result.documents["quality"], dtype=np.float64)[:, 0]


def survival(decoded: Sequence[Decoded]) -> pd.DataFrame:
    """How many answers are still the full model's after so many tokens.

    Returns:
        A row per setting, `kv_mode` and `tokens`: `same`, the share of the answers of at least so many tokens, all
        tasks together, that have not departed; `answers`, how many there are.
    """
    rows = []
    for setting, mode, some in _groups(decoded):
        length = np.concatenate([one.full_length for one in some])
        same = np.concatenate([one.same_tokens for one in some])
        for tokens in LENGTHS:
            there = length >= tokens
            if there.any():
                share = float((same[there] >= tokens).mean())
                rows.append(
                    {"setting": setting, "kv_mode": mode, "tokens": tokens, "same": share, "answers": int(there.sum())}
                )
    return pd.DataFrame(rows, columns=["setting", "kv_mode", "tokens", "same", "answers"])


def quality_by_length(decoded: Sequence[Decoded]) -> pd.DataFrame:
    """Quality per setting and KV mode, over short and long answers (by the median of the full model's, per task).

    Returns:
        A row per task, setting, `kv_mode` and `answers` (short, long): `quality`, the full model's as
        `quality_full`, `kept`, the share of the answer before it departs, and `documents`.
    """
    rows = []
    for one in decoded:
        median = np.median(one.full_length)
        for name, where in (("short", one.full_length <= median), ("long", one.full_length > median)):
            if where.any():
                rows.append(
                    {
                        "task": one.task,
                        "setting": one.setting,
                        "kv_mode": one.kv_mode,
                        "answers": name,
                        "documents": int(where.sum()),
                        "quality": float(one.quality[where].mean()),
                        "kept": float(np.asarray(one.result.documents["kept"])[where].mean()),
                    }
                )
    return pd.DataFrame(rows)


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """A table of either kind with the KV modes beside each other: `same full`, `same propagate`, `same copy`."""
    values = [name for name in ("same", "quality", "kept") if name in table]
    rest = [name for name in map(str, table.columns) if name not in (*values, "kv_mode")]
    wide = table.pivot(index=rest, columns="kv_mode", values=values)
    wide.columns = pd.Index([" ".join(names) for names in wide.columns])
    return table[rest].drop_duplicates().join(wide, on=rest)


def kept_draws(decoded: Sequence[Decoded], mode: KvMode) -> NDArray[np.float64]:
    """The share of answers kept under a KV mode, mean over settings and documents, of the sample and each draw."""
    by_task: dict[str, list[NDArray[np.float64]]] = {}
    for one in decoded:
        if one.kv_mode == mode:
            by_task.setdefault(one.task, []).append(np.asarray(one.result.documents["kept"], dtype=np.float64))
    means = [np.mean(settings, axis=0) for settings in by_task.values()]
    resampler = Resampler([len(mean) for mean in means])
    kept = np.concatenate(means)
    return resampler.ratios(kept, np.ones_like(kept))


def _groups(decoded: Sequence[Decoded]) -> list[tuple[str, KvMode, list[Decoded]]]:
    grouped: dict[tuple[str, KvMode], list[Decoded]] = {}
    for one in decoded:
        grouped.setdefault((one.setting, one.kv_mode), []).append(one)
    return [(*key, some) for key, some in grouped.items()]
