"""Hands a task's documents to lm-eval from the JSONL that lies beside its YAML, wherever the package is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent


def load(name: str, **_: object) -> dict[str, Dataset]:
    """The splits of one task, held in memory: no download, and nothing written to the datasets cache.

    lm-eval also passes the task's metadata, which is of no use here.
    """
    from datasets import Dataset

    splits: dict[str, list[dict[str, object]]] = {}
    with (HERE / name / f"{name}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            splits.setdefault(row.pop("split"), []).append(row)
    return {split: Dataset.from_list(rows) for split, rows in splits.items()}
