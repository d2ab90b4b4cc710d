"""A made-up database for tests of the site and the plots: two models, three tasks, two KV modes, and hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eebench.policy import Kind
from eebench.records.results import Evaluation, KvMode, Result, Summary
from eebench.records.store import Store
from tests.records import evaluation, provenance, result, summary

HOSTILE = "<script>alert(1)</script>"
"""A policy that calls itself that."""

CLOSING = "</script><img src=x onerror=alert(2)>"
"""A model that calls itself that."""

MODELS = ("tiny", CLOSING)
TASKS = ("agreement", "facts")
GENERATION = "lists"
PARTS = ("all", "calibration", "test")
LAYERS = 6

LOSSES = {
    "entropy": 0.5,
    "patience": 0.9,
    "Entropy": 1.1,
    HOSTILE: 0.7,
    "random": 0.96,
    "static": 1.4,
    "full": 1.0,
    "oracle": 0.0,
    "oracle-stable": 0.2,
}
"""Policy -> fidelity lost per share of layers saved; the coin loses 0.96."""

OWN = ("Entropy", HOSTILE)
"""Policies from files of their own."""

KINDS: dict[str, Kind] = {
    "random": "control",
    "static": "control",
    "full": "control",
    "oracle": "bound",
    "oracle-stable": "bound",
}

PARAMETERS = {"patience": "patience", "random": "p", "static": "layer"}
SAVINGS = (0.1, 0.25, 0.5)


def fill(url: str) -> None:
    """Make the database."""
    with Store.open(url) as store:
        run = store.begin_run(provenance(command=f"eebench run -m tiny --limit 40 -p all --db {HOSTILE} --seed 7"))
        for number, model in enumerate(MODELS):
            for task in TASKS:
                _measure(store, run, _evaluation(model, task), LOSSES, 0.05 * number)
        store.finish_run(run, "finished")
        executed = store.begin_run(provenance(command="eebench run -m tiny -t lists --kv-mode full,copy"))
        for kv_mode, policies in (("full", ("entropy", "full", "oracle")), ("copy", ("entropy", "full"))):
            measured = _evaluation("tiny", GENERATION, kv_mode)
            _measure(store, executed, measured, {policy: LOSSES[policy] for policy in policies}, 0.0)
        store.finish_run(executed, "finished")
        store.begin_run(provenance(command="eebench run  # nothing came of it"))


def _evaluation(model: str, task: str, kv_mode: Any = "full") -> Evaluation:
    mode: KvMode = kv_mode
    end = summary(layers_saved=5 / 6, compute_saved=0.5, fidelity=0.2, retention=0.1, mean_exit_layer=1.0)
    return evaluation(
        model=model,
        task=task,
        kv_mode=mode,
        informative=task != "facts",
        informative_note="" if task != "facts" else "too few documents.",
        cost={"head_to_layer": 2.0, "break_even_layer": 8 / 3},
        coin_end=dict.fromkeys(PARTS, end),
    )


def _measure(store: Store, run: int, measured: Evaluation, losses: dict[str, float], harder: float) -> None:
    kept = store.add_evaluation(run, measured)
    for policy, loss in losses.items():
        for one in _results(policy, loss + harder, measured.informative):
            store.add_result(kept, one)


def _results(policy: str, loss: float, informative: bool) -> Iterator[Result]:
    savings = SAVINGS if policy not in ("full", "oracle", "oracle-stable") else (0.0 if policy == "full" else 0.3,)
    for number, saved in enumerate(savings, start=1):
        name = PARAMETERS.get(policy, "threshold")
        value = number if name in ("patience", "layer") else saved
        yield result(
            policy,
            f"{name}={value}" if len(savings) > 1 else "",
            kind=KINDS.get(policy, "policy"),
            builtin=policy not in OWN,
            summaries=dict.fromkeys(PARTS, _summary(saved, loss, informative)),
            exit_histogram=[number, 0, 1, 2, 0, 6],
        )


def _summary(saved: float, loss: float, informative: bool) -> Summary:
    return summary(
        layers_saved=saved,
        compute_saved=saved - 0.2,
        fidelity=1 - loss * saved,
        retention=1 - 1.1 * loss * saved if informative else None,
        mean_exit_layer=LAYERS * (1 - saved),
    )
