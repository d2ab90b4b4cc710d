"""What KV modes do to the same settings on the same documents: quality, fidelity and length, beside those of `full`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from eebench.policy import Kind
from eebench.records.results import KV_MODES, KvMode, StoredResult
from eebench.reports.formats import Column, Record, Sheet, decimal, percent, quality, signed

MEANINGS: Mapping[KvMode, str] = {
    "full": "exact K/V: a token that stopped waits with its state, and is taken on when a later token goes deeper.",
    "propagate": "the exit state goes through each skipped block's own K/V projections (CALM, arXiv 2207.07061).",
    "copy": "the exit layer's K/V, copied upward (arXiv 2412.01455).",
    "truncate": "nothing: the model is cut at one layer, for the prompt too.",
    "verify": "early exits draft, and the whole model checks and corrects: the answer is its own (arXiv 2404.16710).",
}
"""What later tokens see at layers that an earlier token skipped."""

COMPARED = ("quality", "fidelity", "answer_length")

_KINDS: tuple[Kind, ...] = ("policy", "control", "bound")

# --- records -----------------------------------------------------------------------------------------------------


def kv_mode_records(results: Sequence[StoredResult]) -> list[Record]:
    """A record per (model, task, setting, KV mode), of settings that were measured under more than one mode.

    `quality_to_full` and its like are differences to the same setting under `full`; None where there is none.
    """
    return [_record(stored, modes[0]) for modes in by_setting(results) for stored in modes]


def by_setting(results: Sequence[StoredResult]) -> list[list[StoredResult]]:
    """The results of each setting of a (model, task) that was measured under more than one mode, `full` first."""
    settings: dict[tuple[str, str, str], list[StoredResult]] = defaultdict(list)
    for stored in results:
        settings[stored.evaluation.model, stored.evaluation.task, stored.result.setting].append(stored)
    several = [sorted(modes, key=_mode_order) for modes in settings.values() if len(modes) > 1]
    return sorted(several, key=lambda modes: _setting_order(modes[0]))


def _mode_order(stored: StoredResult) -> int:
    return KV_MODES.index(stored.evaluation.kv_mode)


def _setting_order(stored: StoredResult) -> tuple[Any, ...]:
    evaluation, result = stored.evaluation, stored.result
    saved = result.summaries["all"].layers_saved
    return evaluation.model, evaluation.task, _KINDS.index(result.kind), result.policy, saved, result.setting


def _record(stored: StoredResult, first: StoredResult) -> Record:
    evaluation, result = stored.evaluation, stored.result
    figures = result.summaries["all"]
    full = first.result.summaries["all"] if first.evaluation.kv_mode == "full" and first is not stored else None
    record: dict[str, Any] = {
        "model": evaluation.model,
        "task": evaluation.task,
        "policy": result.policy,
        "kind": result.kind,
        "setting": result.setting,
        "kv_mode": evaluation.kv_mode,
        "metric": evaluation.metric,
        "num_layers": evaluation.num_layers,
        "n_docs": figures.n_docs,
        "mean_exit_layer": figures.mean_exit_layer,
    }
    for name in COMPARED:
        own, other = getattr(figures, name), getattr(full, name, None)
        record[name] = own
        record[f"{name}_to_full"] = None if own is None or other is None else own - other
    return {**record, "departs": figures.departs, "repetition": figures.repetition}


# --- columns -----------------------------------------------------------------------------------------------------

KV_MODE_COLUMNS = (
    Column("KV mode", "", lambda r: r["kv_mode"], is_text=True),
    Column("mean", "quality", lambda r: quality(r["quality"])),
    Column("to full", "quality", lambda r: signed(quality(r["quality_to_full"]))),
    Column("share", "fidelity", lambda r: percent(r["fidelity"])),
    Column("to full", "fidelity", lambda r: signed(percent(r["fidelity_to_full"]))),
    Column("tokens", "length", lambda r: decimal(r["answer_length"])),
    Column("to full", "length", lambda r: signed(decimal(r["answer_length_to_full"]))),
    Column("depart", "answers", lambda r: percent(r["departs"])),
    Column("repeat", "answers", lambda r: percent(r["repetition"])),
    Column("exit", "", lambda r: decimal(r["mean_exit_layer"]), spared=True),
)

_WHERE_COLUMNS = (
    Column("model", "", lambda r: r["model"], is_text=True),
    Column("task", "", lambda r: r["task"], is_text=True),
    Column("metric", "", lambda r: r["metric"], is_text=True),
    Column("setting", "", lambda r: r["setting"], is_text=True),
)


def kv_mode_sheet(records: Sequence[Record]) -> Sheet:
    """The table of all settings under all modes, with what it means."""
    return Sheet((*_WHERE_COLUMNS, *KV_MODE_COLUMNS), records, sentences(records))


# --- sentences ---------------------------------------------------------------------------------------------------


def sentences(records: Sequence[Record]) -> list[str]:
    """What each mode changes on average, and how to read the table."""
    return [*averages(records), TO_FULL, f"{FIGURES} {_ANSWERS}"]


TO_FULL = (
    "to full: the difference to the same setting under KV mode full, where later tokens see what they would see had "
    "nothing been skipped."
)

FIGURES = (
    "quality: the task's metric. fidelity: share of tokens that are the full model's most probable ones after the same "
    "text."
)

_ANSWERS = "answers: the share of them that depart from the full model's, and of their 4-grams that stood before."


def averages(records: Sequence[Record]) -> list[str]:
    """What each mode changes against `full`, mean over settings: a sentence per mode."""
    made = []
    for mode in KV_MODES:
        compared = [r for r in records if r["kv_mode"] == mode and r["fidelity_to_full"] is not None]
        if not compared:
            continue
        changes = [
            f"{name.replace('answer_', '')} {signed(shown(change))}"
            for name, shown in (("quality", quality), ("fidelity", percent), ("answer_length", decimal))
            if (change := _mean_change(compared, name)) is not None
        ]
        settings = "1 setting" if len(compared) == 1 else f"{len(compared)} settings"
        made.append(f"{mode} against full, mean over {settings}: {', '.join(changes)}.")
    return made


def _mean_change(records: Sequence[Record], name: str) -> float | None:
    changes = [r[f"{name}_to_full"] for r in records if r[f"{name}_to_full"] is not None]
    return sum(changes) / len(changes) if changes else None
