"""Made-up evaluations and results, for tests of the store, the ranking and the reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from eebench.records.results import (
    Evaluation,
    MetricValue,
    Provenance,
    Result,
    StoredResult,
    StoredTiming,
    Summary,
    Timing,
    columns,
)


def summary(**changes: Any) -> Summary:
    """The figures of a setting on one part."""
    made = Summary(
        n_docs=4,
        n_positions=6,
        mean_exit_layer=4.5,
        layers_saved=0.25,
        compute_saved=-0.125,
        lens_reads=4.5,
        fidelity=0.875,
        quality=0.5,
        retention=0.8,
    )
    return replace(made, **changes)


def provenance(**changes: Any) -> Provenance:
    """Where a run came from."""
    made = Provenance(
        command="eebench run -p entropy",
        seed=1234,
        device="cpu",
        device_name="A processor",
        versions={"eebench": "0.1.0"},
        git_commit="0123456789abcdef0123456789abcdef01234567",
        git_dirty=False,
    )
    return replace(made, **changes)


def evaluation(n_docs: int = 4, num_layers: int = 6, **changes: Any) -> Evaluation:
    """One (model, task) with `n_docs` documents of one or two positions."""
    positions = 1 + np.arange(n_docs) % 2
    made = Evaluation(
        model="tiny",
        model_id="example/tiny",
        revision="abc123",
        dtype="float32",
        num_layers=num_layers,
        task="agreement",
        task_version="1",
        num_fewshot=0,
        chat_template=False,
        kv_mode="full",
        documents_hash="d0c5",
        metric="acc,none",
        metric_direction=1,
        chance=0.25,
        informative=True,
        informative_note="",
        n_docs=n_docs,
        n_positions=int(positions.sum()),
        cost={"head_to_layer": 8.0, "break_even_layer": 1.5},
        coin_end={part: summary(mean_exit_layer=1.0) for part in ("all", "calibration", "test")},
        documents=columns(
            id=np.arange(n_docs),
            hash=np.array([f"h{i}" for i in range(n_docs)]),
            part=np.array(["test" if i % 2 else "calibration" for i in range(n_docs)]),
            n_positions=positions,
            layer_agrees=np.minimum(positions[:, None], np.arange(num_layers)),
        ),
    )
    return replace(made, **changes)


def result(policy: str = "entropy", parameters: str = "threshold=0.5", n_docs: int = 4, **changes: Any) -> Result:
    """One setting of a policy; `parameters` as they stand in it."""
    made = Result(
        policy=policy,
        kind="policy",
        setting=f"{policy}:{parameters}" if parameters else policy,
        params={name: float(value) for name, value in (pair.split("=") for pair in parameters.split(",") if pair)},
        builtin=True,
        policy_hash="f00d",
        metrics={"acc,none": MetricValue(0.5, 0.25), "perplexity,none": MetricValue(None, None)},
        quality_full=0.5625,
        summaries={part: summary() for part in ("all", "calibration", "test")},
        exit_histogram=[1, 0, 1, 1, 0, 3],
        selection={"before": 0.25, "at": 0.5, "after": 0.25},
        documents=columns(
            exit_layers=np.arange(n_docs),
            lens_reads=np.arange(n_docs, dtype=np.uint16),
            agrees=np.ones(n_docs, dtype=np.int64),
            flops=np.linspace(1e6, 2e6, n_docs),
            quality=np.array([[i % 2, np.nan] for i in range(n_docs)], dtype=np.float32).reshape(n_docs, 2),
        ),
    )
    return replace(made, **changes)


def stored(id: int = 1, of: Evaluation | None = None, **changes: Any) -> StoredResult:
    """A result of an evaluation as the store gives it back; `changes` are those of `result`."""
    return StoredResult(
        run_id=1,
        evaluation_id=1,
        result_id=id,
        finished="2026-01-02T03:04:05+00:00",
        evaluation=of or evaluation(),
        result=result(**changes),
    )


def timing(setting: str = "static:layer=3", seconds: tuple[float, ...] = (2.0, 4.0, 2.5), **changes: Any) -> Timing:
    """A setting's `seconds` in each round, beside a full model that takes 4 s in each."""
    policy = setting.partition(":")[0]
    made = Timing(
        model="tiny",
        model_id="example/tiny",
        revision="abc123",
        dtype="float32",
        num_layers=6,
        task="lists",
        task_version="1",
        num_fewshot=0,
        prompts_hash="d0c5",
        device_name="A processor",
        threads=2,
        n_prompts=2,
        prompt_tokens=50.5,
        new_tokens=20,
        policy=policy,
        kind="control" if policy in ("static", "full") else "policy",
        setting=setting,
        params={},
        builtin=True,
        policy_hash="f00d",
        kv_mode="full",
        draft_length=None,
        decode_seconds=list(seconds),
        prefill_seconds=[0.5] * len(seconds),
        full_decode_seconds=[4.0] * len(seconds),
        flops=2e9,
        full_flops=3e9,
        mean_exit_layer=3.0,
        departs=0.5,
    )
    return replace(made, **changes)


def timed(*timings: Timing) -> list[StoredTiming]:
    """Timings as the store gives them back."""
    return [StoredTiming(1, number, "2026-01-02T03:04:05+00:00", one) for number, one in enumerate(timings, start=1)]
