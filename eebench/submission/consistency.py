"""Whether the figures of a bundle follow from its own rows per document, and whether the rows can be true.

Each check is a sentence that is given where it fails. Nothing but the bundle is needed: no trace, no task, no model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import ValidationError

from eebench.own_tasks import GENERATION_TASKS, OWN_TASKS
from eebench.quality import follows, is_informative, quality_of, stderr_of
from eebench.records.results import COIN, Evaluation, Result
from eebench.submission.figure_checks import wrong_metrics, wrong_selection, wrong_summaries
from eebench.submission.ground import Ground, first_of, wrong_lengths
from eebench.submission.row_checks import (
    wrong_agreement,
    wrong_at_an_end,
    wrong_flops,
    wrong_full,
    wrong_histogram,
    wrong_oracle,
    wrong_values,
)
from eebench.submission.standings import origin
from eebench.traces.manifest import CostNumbers, hash_of_documents
from eebench.traces.trace import Document


def wrong_with_evaluation(ground: Ground) -> Iterator[str]:
    """What is wrong with what all settings of an evaluation share, in sentences."""
    first = next(_wrong_documents(ground), "") or _wrong_cost(ground.evaluation)
    if first:
        yield first
        return  # all else leans on these
    yield from _wrong_chance(ground)
    yield from _wrong_coin(ground)
    if ground.full is None:
        yield "the full model's own row is missing: quality is retained of it, so that nothing can be said without"
    if ground.oracle is None and not ground.generates:
        yield "the oracle's own row is missing: an EE-score is a share of its skill, so that there is none without"


def _wrong_documents(ground: Ground) -> Iterator[str]:
    evaluation, columns = ground.evaluation, ground.documents
    ids, positions, agrees = (np.asarray(columns[name]) for name in ("id", "n_positions", "layer_agrees"))
    if missing := sorted(set(range(len(ids))) - set(ids.tolist())):
        yield f"documents are missing: they are numbered from 0 without a gap, and document {missing[0]} is not there"
    if len(ids) != evaluation.n_docs:
        yield f"documents are missing: n_docs is {evaluation.n_docs}, and there are {len(ids)}"
    if hash_of_documents(columns["prompt_hash"].tolist()) != evaluation.documents_hash:
        yield "documents are missing or others than were measured: documents_hash is not the hash of their prompts"
    parts = [Document(int(id), str(digest)).part for id, digest in zip(ids, columns["hash"], strict=True)]
    for id, part, said in zip(ids, parts, columns["part"], strict=True):
        if part != said:
            yield f"document {id} is in the {said} part, and its hash says {part}"
    if positions.min() < 1 or positions.sum() != evaluation.n_positions:
        yield f"n_positions is {evaluation.n_positions}, and the documents have {positions.sum()} between them"
    if agrees.min() < 0 or (agrees > positions[:, None]).any():
        yield "more positions of a document agree with the full model at a layer than there are positions"
    if (agrees[:, -1] != positions).any():
        yield "the last layer does not agree with the full model everywhere, and it is the full model's"


def _wrong_cost(evaluation: Evaluation) -> str:
    try:
        numbers = CostNumbers.model_validate(evaluation.cost)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        return f"its cost model cannot be: {f'{where}: ' if where else ''}{wrong['msg'].removeprefix('Value error, ')}"
    if len(numbers.block) != evaluation.num_layers:
        return f"its cost model has {len(numbers.block)} layers, and the model {evaluation.num_layers}"
    return ""


def _wrong_coin(ground: Ground) -> Iterator[str]:
    """Stopping everywhere at layer 1, where the no-skill line ends."""
    coin = {name.removeprefix(COIN): rows for name, rows in ground.documents.items() if name.startswith(COIN)}
    where = "the end of the no-skill line"
    first = wrong_lengths(coin, len(ground.documents["id"])) or next(wrong_values(ground, coin), "")
    if not first and (coin["exit_layers"] != coin["n_positions"]).any() and ground.evaluation.kv_mode != "verify":
        first = "it does not stop everywhere at layer 1"
    if first := first or next(wrong_flops(ground, coin, (1, 1)), ""):
        yield f"{where}: {first}"
        return
    if not ground.generates and (coin["agrees"] != ground.documents["layer_agrees"][:, 0]).any():
        number = first_of(ground.documents["id"], coin["agrees"] != ground.documents["layer_agrees"][:, 0])
        yield f"{where}: document {number} agrees with the full model at another number of positions than layer 1 does"
    yield from (f"{where}: {wrong}" for wrong in wrong_summaries(ground, ground.evaluation.coin_end, coin))


def _wrong_chance(ground: Ground) -> Iterator[str]:
    evaluation, full = ground.evaluation, ground.full
    if not math.isfinite(evaluation.chance):
        yield "the quality of guessing is not a finite number"
    if full is None or not follows(evaluation.metric) or not np.isfinite(full["quality"]).all():
        return
    quality = quality_of(evaluation.metric, full["quality"])
    stderr = None if quality is None else stderr_of(evaluation.metric, full["quality"])
    if evaluation.informative != is_informative(quality, stderr, evaluation.chance, evaluation.metric_direction):
        yield f"informative is {str(evaluation.informative).lower()}, and the full model's rows say otherwise"


def wrong_with_result(ground: Ground, result: Result) -> Iterator[str]:
    """What is wrong with the figures and the rows of a setting, in sentences."""
    rows = result.documents
    if wrong := wrong_lengths(rows, len(ground.documents["id"])):
        yield wrong
        return
    if (rows["id"] != ground.documents["id"]).any():
        yield "its documents are others than those of the evaluation, or in another order"
        return
    histogram = np.array(result.exit_histogram, dtype=np.float64)
    broken = list(wrong_values(ground, rows)) or [*filter(None, [wrong_histogram(ground, rows, histogram)])]
    if not broken:
        layers = np.flatnonzero(histogram) + 1
        broken = list(wrong_flops(ground, rows, (int(layers[0]), int(layers[-1]))))
    if broken:
        yield from broken
        return
    yield from wrong_at_an_end(ground, rows)
    yield from wrong_summaries(ground, result.summaries, rows)
    yield from wrong_selection(ground, result)
    yield from wrong_metrics(ground, result)
    yield from wrong_agreement(ground, rows, histogram)
    if result.policy == "full":
        yield from wrong_full(ground, rows)
    if result.setting == "oracle" and not ground.generates:
        yield from wrong_oracle(ground, rows)


def wrong_kind_of_task(ground: Ground) -> Iterator[str]:
    """Whether a task of EEBench's own is measured as what it is, and only what generates is executed."""
    task, mode = ground.evaluation.task, ground.evaluation.kv_mode
    if mode != "full" and not ground.generates:
        yield f"its KV mode is {mode}, and a likelihood task is never executed: all it is scored on is full"
    if task in OWN_TASKS and ground.generates != (task in GENERATION_TASKS):
        yield f"{task} is measured as {'a generation' if ground.generates else 'a likelihood'} task, and it is none"


def settings_twice(results: Sequence[Result]) -> Iterator[tuple[Result, str]]:
    """Settings that stand in a file twice."""
    seen: set[tuple[str, str]] = set()
    for result in results:
        if (key := (result.setting, origin(result))) in seen:
            yield result, "it is there twice"
        seen.add(key)
