"""What may be compared: records of one group that share everything that would change their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

EVALUATION_KEY: Mapping[str, str] = {
    "revision": "another revision of the model",
    "dtype": "another dtype",
    "task_version": "another task version",
    "num_fewshot": "another number of shots",
    "chat_template": "the chat template set otherwise",
    "documents_hash": "other documents",
    "metric": "another main metric",
}
"""What results of one (model, task, KV mode) must share to stand in one ranking, and how to say that they do not."""

TIMING_KEY: Mapping[str, str] = {
    "revision": "another revision of the model",
    "dtype": "another dtype",
    "task_version": "another task version",
    "threads": "another number of threads",
    "new_tokens": "another number of new tokens",
    "prompts_hash": "other prompts",
}
"""The same for timings of one (model, task, device)."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class LeftOut:
    """Records of a (model, task) that cannot be compared with its newest ones; `what` they are, in the singular."""

    model: str
    task: str
    count: int
    because: tuple[str, ...]
    what: str = "result"

    def __str__(self) -> str:
        return _sentence(self.model, self.task, self.count, self.because, self.what)


def with_newest(
    rows: Iterable[Row], group: Callable[[Row], Hashable], key: Mapping[str, str]
) -> tuple[list[Row], list[tuple[Row, list[str]]]]:
    """The rows that share with the newest of their group what the key names, and the others with how they differ.

    Args:
        rows: the oldest first.
    """
    in_order = list(rows)
    newest = {group(row): row for row in in_order}
    same, others = [], []
    for row in in_order:
        differences = _differences(row, newest[group(row)], key)
        if differences:
            others.append((row, differences))
        else:
            same.append(row)
    return same, others


def _differences(row: Any, other: Any, key: Mapping[str, str]) -> list[str]:
    return [words for name, words in key.items() if getattr(row, name) != getattr(other, name)]


def left_out(others: Iterable[tuple[Any, list[str]]], counts: Callable[[Any], int], what: str) -> list[LeftOut]:
    """What is left out of each (model, task), and for what reasons; `counts` are the records of a row."""
    total: Counter[tuple[str, str]] = Counter()
    because: dict[tuple[str, str], dict[str, None]] = {}
    for row, differences in others:
        pair = (row.model, row.task)
        total[pair] += counts(row)
        because.setdefault(pair, {}).update(dict.fromkeys(differences))
    return [LeftOut(*pair, total[pair], tuple(because[pair]), what) for pair in total]


def sentences(some: Sequence[LeftOut]) -> list[str]:
    """A sentence for each model and reason, whether it is one task or many."""
    grouped: dict[tuple[str, tuple[str, ...], str], list[LeftOut]] = {}
    for one in some:
        grouped.setdefault((one.model, one.because, one.what), []).append(one)
    return [
        _sentence(
            model,
            alike[0].task if len(alike) == 1 else f"{len(alike)} tasks",
            sum(one.count for one in alike),
            because,
            what,
        )
        for (model, because, what), alike in grouped.items()
    ]


def _sentence(model: str, where: str, count: int, because: Sequence[str], what: str) -> str:
    records = f"1 older {what}" if count == 1 else f"{count} older {what}s"
    return f"Left out: {records} of {model} on {where}, measured with {' or '.join(because)}."
