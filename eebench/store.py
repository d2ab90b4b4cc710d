"""The store of results: everything ever measured, in SQLite or PostgreSQL. Nothing in it is overwritten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self, cast

import numpy as np
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from eebench.database import connect, default_url, no_results, parse_url, reason, shown
from eebench.errors import EEBenchError, unknown
from eebench.results import Columns, Evaluation, MetricValue, Provenance, Result, StoredResult, Summary
from eebench.tables import EvaluationRow, ResultRow, RunRow

__all__ = ["Ending", "LeftOut", "Newest", "Run", "Status", "Store", "default_url"]

Ending = Literal["finished", "interrupted", "failed"]
Status = Literal["running", "finished", "interrupted", "failed"]

_KEY = {
    "revision": "another revision of the model",
    "dtype": "another dtype",
    "task_version": "another task version",
    "num_fewshot": "another number of shots",
    "chat_template": "the chat template set otherwise",
    "kv_mode": "another KV mode",
    "documents_hash": "other documents",
}
"""What results of one (model, task) must share to stand in one ranking, and how to say that they do not."""


@dataclass(frozen=True)
class Run:
    """A run as the store remembers it; `started` and `finished` are ISO 8601 times in UTC."""

    id: int
    status: Status
    started: str
    finished: str | None
    provenance: Provenance
    n_results: int


@dataclass(frozen=True)
class LeftOut:
    """Results of a (model, task) that cannot be compared with its newest ones."""

    model: str
    task: str
    count: int
    because: tuple[str, ...]

    def __str__(self) -> str:
        results = "1 older result" if self.count == 1 else f"{self.count} older results"
        return f"Left out: {results} of {self.model} on {self.task}, measured with {' or '.join(self.because)}."


@dataclass(frozen=True)
class Newest:
    """The newest comparable results, and what was left out to keep them comparable."""

    results: list[StoredResult]
    left_out: list[LeftOut]


class Store:
    """A database of results, opened with `Store.open` and used in a `with` statement."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str | None = None, *, create: bool = True) -> Self:
        """The store at an SQLAlchemy URL or a path to an SQLite file, by default at `default_url()`.

        Args:
            create: make the database if there is none; an older one is brought up to date in any case.

        Raises:
            EEBenchError: it cannot be opened, is not EEBench's, was made by a newer EEBench, or there is none and
                `create` is false. Nothing is written in any of these cases.
        """
        return cls(connect(parse_url(url or default_url()), create=create))

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- writing: each call is one transaction -------------------------------------------------------------------

    def begin_run(self, provenance: Provenance) -> int:
        """Note that a run has started, and return its id.

        Raises:
            EEBenchError: the database cannot be written to; so for the other writing methods.
        """
        return self._add(RunRow(status="running", started=_now(), **asdict(provenance)))

    def finish_run(self, run_id: int, status: Ending) -> None:
        """Note how and when a run ended; the first word on it stays."""
        ended = update(RunRow).where(RunRow.id == run_id, RunRow.status == "running")
        with self._transaction() as session:
            session.execute(ended.values(status=status, finished=_now()))

    def add_evaluation(self, run_id: int, evaluation: Evaluation) -> int:
        """Keep one (model, task) of a run, and return its id."""
        return self._add(EvaluationRow(run_id=run_id, **_values(evaluation)))

    def add_result(self, evaluation_id: int, result: Result) -> int:
        """Keep one setting on an evaluation, and return its id."""
        return self._add(ResultRow(evaluation_id=evaluation_id, finished=_now(), **_values(result)))

    # --- reading -------------------------------------------------------------------------------------------------

    def newest(self, models: Collection[str] = (), tasks: Collection[str] = ()) -> Newest:
        """The newest result of every setting that can be compared with the newest evaluation of its (model, task).

        Results of older and of interrupted runs count, as long as the model's revision and dtype, the task's version,
        shots, template and documents, and the KV mode are those of the newest evaluation that has results.

        Args:
            models: only these models; all when empty.
            tasks: only these tasks; all when empty.

        Raises:
            EEBenchError: there are no results at all, none of a model or task named, or the database cannot be read.
        """
        with self._transaction() as session:
            evaluations = session.scalars(
                select(EvaluationRow).where(EvaluationRow.results.any()).order_by(EvaluationRow.id)
            ).all()
            if not evaluations:
                raise no_results(self._engine.url)
            _check_known("model", models, {row.model for row in evaluations})
            _check_known("task", tasks, {row.task for row in evaluations})
            wanted = [
                row for row in evaluations if (not models or row.model in models) and (not tasks or row.task in tasks)
            ]
            if not wanted:
                raise EEBenchError(f"no results of {', '.join(models)} on {', '.join(tasks)} yet: `eebench run` them")
            newest = {(row.model, row.task): row for row in wanted}
            comparable, others = {}, []
            for row in wanted:
                if _differences(row, newest[row.model, row.task]):
                    others.append(row)
                else:
                    comparable[row.id] = row
            return Newest(_newest_results(session, comparable), _left_out(session, others, newest))

    def documents(self, result_id: int) -> Columns:
        """The per-document columns of a result."""
        with self._transaction() as session:
            return session.execute(select(ResultRow.documents).where(ResultRow.id == result_id)).scalar_one()

    def evaluation_documents(self, evaluation_id: int) -> Columns:
        """The per-document columns of an evaluation."""
        with self._transaction() as session:
            return session.execute(
                select(EvaluationRow.documents).where(EvaluationRow.id == evaluation_id)
            ).scalar_one()

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        counted = (
            select(RunRow, func.count(ResultRow.id))
            .outerjoin(EvaluationRow, EvaluationRow.run_id == RunRow.id)
            .outerjoin(ResultRow)
            .group_by(RunRow.id)
            .order_by(RunRow.id.desc())
        )
        with self._transaction() as session:
            return [_run(row, count) for row, count in session.execute(counted)]

    # --- underneath ----------------------------------------------------------------------------------------------

    def _add(self, row: RunRow | EvaluationRow | ResultRow) -> int:
        with self._transaction() as session:
            session.add(row)
            session.flush()
            return row.id

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except (IntegrityError, ProgrammingError, DataError):
            raise  # a mistake in EEBench, not in the user's database
        except DBAPIError as error:
            url = self._engine.url
            raise EEBenchError(f"the database {shown(url)} failed: {reason(url, error)}") from None


# --- rows and records --------------------------------------------------------------------------------------------


def _now() -> datetime:
    return datetime.now(UTC)


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _values(record: Evaluation | Result) -> dict[str, Any]:
    """The fields of a record as its table's columns take them."""
    return {field.name: _value(getattr(record, field.name)) for field in fields(record)}


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, Summary | MetricValue):
        return asdict(value)
    return value.item() if isinstance(value, np.generic) else value


def _newest_results(session: Session, evaluations: Mapping[int, EvaluationRow]) -> list[StoredResult]:
    """The newest result of every setting of every (model, task) among these evaluations."""
    ids = (
        select(func.max(ResultRow.id))
        .join(EvaluationRow)
        .where(ResultRow.evaluation_id.in_(evaluations))
        .group_by(EvaluationRow.model, EvaluationRow.task, ResultRow.policy, ResultRow.setting)
    )
    rows = session.scalars(select(ResultRow).where(ResultRow.id.in_(ids)).order_by(ResultRow.id))
    records = {id: _evaluation(row) for id, row in evaluations.items()}
    return [
        StoredResult(
            run_id=evaluations[row.evaluation_id].run_id,
            evaluation_id=row.evaluation_id,
            result_id=row.id,
            finished=_iso(row.finished),
            evaluation=records[row.evaluation_id],
            result=_result(row),
        )
        for row in rows
    ]


def _left_out(
    session: Session, others: list[EvaluationRow], newest: Mapping[tuple[str, str], EvaluationRow]
) -> list[LeftOut]:
    counted = (
        select(ResultRow.evaluation_id, func.count())
        .where(ResultRow.evaluation_id.in_([row.id for row in others]))
        .group_by(ResultRow.evaluation_id)
    )
    counts = {row[0]: row[1] for row in session.execute(counted)}
    total: Counter[tuple[str, str]] = Counter()
    because: dict[tuple[str, str], dict[str, None]] = {}
    for row in others:
        pair = (row.model, row.task)
        total[pair] += counts[row.id]
        because.setdefault(pair, {}).update(dict.fromkeys(_differences(row, newest[pair])))
    return [LeftOut(*pair, total[pair], tuple(because[pair])) for pair in total]


def _differences(row: EvaluationRow, other: EvaluationRow) -> list[str]:
    """In what two evaluations of one (model, task) differ so that their results must not be compared."""
    return [words for name, words in _KEY.items() if getattr(row, name) != getattr(other, name)]


def _check_known(kind: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise unknown(kind, name, known, f"There are results of {', '.join(sorted(known))}.")


def _evaluation(row: EvaluationRow) -> Evaluation:
    values = {field.name: getattr(row, field.name) for field in fields(Evaluation) if field.name != "documents"}
    values["coin_end"] = {part: Summary(**figures) for part, figures in row.coin_end.items()}
    return Evaluation(**values, documents={})


def _result(row: ResultRow) -> Result:
    values = {field.name: getattr(row, field.name) for field in fields(Result) if field.name != "documents"}
    values["metrics"] = {name: MetricValue(**metric) for name, metric in row.metrics.items()}
    values["summaries"] = {part: Summary(**figures) for part, figures in row.summaries.items()}
    return Result(**values, documents={})


def _run(row: RunRow, n_results: int) -> Run:
    provenance = {field.name: getattr(row, field.name) for field in fields(Provenance)}
    return Run(
        id=row.id,
        status=cast(Status, row.status),
        started=_iso(row.started),
        finished=_iso(row.finished) if row.finished else None,
        provenance=Provenance(**provenance),
        n_results=n_results,
    )
