"""Measured time as a table and in sentences. Only here does anything earn the word speed-up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import median

from eebench.records.results import StoredTiming, Timing
from eebench.reports.formats import MISSING, Column, Record, Sheet, decimal, percent

# --- records -----------------------------------------------------------------------------------------------------


def timing_records(timings: Iterable[StoredTiming]) -> list[Record]:
    """A record per (model, task, device, setting, KV mode), with medians and ranges over rounds."""
    return [_record(stored) for stored in timings]


def _record(stored: StoredTiming) -> Record:
    timing = stored.timing
    return {
        **asdict(timing),
        "n_rounds": len(timing.decode_seconds),
        **_spread("tokens_per_second", timing.tokens_per_second),
        **_spread("ratio", timing.ratios),
        "predicted_ratio": timing.predicted_ratio,
        "inside_noise": timing.inside_noise,
        "prefill": median(timing.prefill_seconds) / timing.n_prompts,
        "run": stored.run_id,
        "finished": stored.finished,
    }


def _spread(name: str, per_round: Sequence[float]) -> dict[str, float]:
    return {name: median(per_round), f"{name}_min": min(per_round), f"{name}_max": max(per_round)}


# --- columns -----------------------------------------------------------------------------------------------------


def three_digits(value: float) -> str:
    """A number to three significant digits, without an exponent."""
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def _with_range(record: Record, name: str) -> str:
    middle, low, high = (three_digits(record[key]) for key in (name, f"{name}_min", f"{name}_max"))
    return f"{middle} ({low}–{high})"


def mode_of(record: Record) -> str:
    """The KV mode, and of drafts their length."""
    length = record["draft_length"]
    return str(record["kv_mode"]) + (f" {length}" if length is not None else "")


def _measured(record: Record) -> str:
    if _is_full(record):
        return MISSING
    return ("≈ " if record["inside_noise"] else "") + _with_range(record, "ratio")


def _is_full(record: Record) -> bool:
    return bool(record["policy"] == "full")


TIMING_COLUMNS = (
    Column("KV mode", "", mode_of, is_text=True),
    Column("decoded", "tokens/s", lambda r: _with_range(r, "tokens_per_second")),
    Column("measured", "full's time / its", _measured),
    Column("predicted", "full's time / its", lambda r: MISSING if _is_full(r) else three_digits(r["predicted_ratio"])),
    Column("exit", "", lambda r: decimal(r["mean_exit_layer"])),
    Column("prefill", "", lambda r: f"{1000 * r['prefill']:.0f} ms"),
    Column("depart", "", lambda r: MISSING if _is_full(r) else percent(r["departs"])),
)

_WHERE_COLUMNS = (
    Column("model", "", lambda r: r["model"], is_text=True),
    Column("task", "", lambda r: r["task"], is_text=True),
    Column("device", "", lambda r: r["device_name"], is_text=True),
    Column("setting", "", lambda r: r["setting"], is_text=True),
)


def timing_sheet(timings: Sequence[StoredTiming]) -> Sheet:
    """The table of all timings, with what they mean."""
    return Sheet((*_WHERE_COLUMNS, *TIMING_COLUMNS), timing_records(timings), [*verdicts(timings), *legend(timings)])


# --- sentences ---------------------------------------------------------------------------------------------------


def verdicts(timings: Iterable[StoredTiming]) -> list[str]:
    """What was faster than the full model, what was slower, and of what neither can be said."""
    compared = sorted((stored.timing for stored in timings if not stored.timing.is_full), key=lambda t: -t.ratio)
    told = [timing for timing in compared if not timing.inside_noise]
    sentences = (
        ("Faster than the full model, the ratio is the speed-up", [timing for timing in told if timing.ratio > 1]),
        ("Slower than the full model", [timing for timing in told if timing.ratio < 1]),
        ("Inside the noise, neither faster nor slower", [timing for timing in compared if timing.inside_noise]),
    )
    return [f"{text}: {', '.join(map(_named, some))}." for text, some in sentences if some]


def _named(timing: Timing) -> str:
    mode = "" if timing.kv_mode == "full" else f" under {timing.kv_mode}"
    return f"{timing.setting}{mode} at {three_digits(timing.ratio)}×"


def legend(timings: Sequence[StoredTiming]) -> list[str]:
    """How to read the table."""
    rounds = min((len(stored.timing.decode_seconds) for stored in timings), default=0)
    return [
        "decoded: tokens per second without the prefill, median and range over rounds; predicted: by FLOPs, as the "
        "cost model counts them; above 1 is faster.",
        "≈: inside the noise, the rounds' ratios lie on both sides of 1. A setting exactly as fast as the full model "
        f"is found on one side alone once in {2 ** max(0, rounds - 1)} times, with {rounds} rounds.",
        "exit: mean layer; prefill: of a prompt, without its last token; depart: share of answers that are not the "
        "full model's.",
    ]


def headline(records: Sequence[Record]) -> str:
    """What the timings of one (model, task, device) share."""
    first, rounds = records[0], {record["n_rounds"] for record in records}
    return (
        f"Measured time, {first['model']} ({first['dtype']}) on {first['device_name']}, "
        f"{_count(first['threads'], 'thread')}: {_count(first['n_prompts'], 'prompt')} of {first['task']}, "
        f"{first['prompt_tokens']:.0f} tokens on average, {first['new_tokens']} decoded after each; "
        f"{'–'.join(map(str, sorted({min(rounds), max(rounds)})))} rounds"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
