"""The text of a bundle's files: few lines, each of one thing, so that two bundles can be compared by `diff`.

Numbers are written so that they come back bit by bit; one that is not finite is null. A column of a setting that is the
same as where everything stops at layer 1 (how many positions a document has, what the full model would take) stands
with the documents, once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from numpy.typing import NDArray

from eebench import strict_json
from eebench.records.results import COIN, Columns, Evaluation, Result
from eebench.scoring import SEQUENCE_COLUMNS
from eebench.submission.bundle_format import Contents, DocumentRow


def evaluation_text(evaluation: Evaluation) -> str:
    """An `eebench.submission.bundle_format.EvaluationFile`: a field to a line, and a document to a line."""
    columns = evaluation.documents
    rows = [_shared_row(columns, number) for number in range(len(columns["id"]))]
    plain = {field.name: getattr(evaluation, field.name) for field in fields(Evaluation) if field.name != "documents"}
    plain["coin_end"] = {part: _given(asdict(summary)) for part, summary in evaluation.coin_end.items()}
    lines = [f" {_json(name)}: {_json(value)}" for name, value in plain.items()]
    documents = ",\n".join(f"  {_json(row)}" for row in rows)
    return "{\n" + ",\n".join([*lines, f' "documents": [\n{documents}\n ]']) + "\n}\n"


def result_text(result: Result, shared: Columns) -> str:
    """An `eebench.submission.bundle_format.ResultLine`.

    Args:
        shared: the columns of the evaluation's documents.
    """
    plain = {field.name: getattr(result, field.name) for field in fields(Result)}
    plain["metrics"] = {name: asdict(metric) for name, metric in result.metrics.items()}
    plain["summaries"] = {part: _given(asdict(summary)) for part, summary in result.summaries.items()}
    plain["documents"] = {
        name: _short(values.tolist())
        for name, values in result.documents.items()
        if not _same(values, shared.get(f"{COIN}{name}"))
    }
    return _json(plain) + "\n"


def contents_text(contents: Contents) -> str:
    """`bundle.json`."""
    return contents.model_dump_json(indent=1) + "\n"


def _shared_row(columns: Mapping[str, NDArray[Any]], number: int) -> dict[str, Any]:
    order = [*DocumentRow.model_fields, *columns]
    row = {name: _short(columns[name][number].tolist()) for name in order if name in columns}
    coin = {name.removeprefix(COIN): row.pop(name) for name in list(row) if name.startswith(COIN)}
    return {**row, "coin": coin}


def _same(values: NDArray[Any], others: NDArray[Any] | None) -> bool:
    """Whether two columns are the same bit by bit."""
    return others is not None and values.dtype == others.dtype and values.tobytes() == others.tobytes()


def _short(value: Any) -> Any:
    """Whole floats without their `.0`: the same number, and a third of the file."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole and math.copysign(1, value) > 0 else value


def _given(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Without the figures of answers where there are none."""
    return {name: value for name, value in figures.items() if value is not None or name not in SEQUENCE_COLUMNS}


def _json(value: Any) -> str:
    return strict_json.dumps(value, separators=(",", ":"))
