"""The store of results: everything ever measured, in SQLite or PostgreSQL. Nothing in it is overwritten."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self, cast

import numpy as np
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from eebench.errors import EEBenchError, unknown
from eebench.quality import name_of
from eebench.records.comparable import EVALUATION_KEY, TIMING_KEY, LeftOut, left_out, with_newest
from eebench.records.database import connect, default_url, no_results, parse_url, reason, shown
from eebench.records.results import (
    KV_MODES,
    Columns,
    Evaluation,
    KvMode,
    MetricValue,
    Provenance,
    Result,
    StoredResult,
    StoredTiming,
    Summary,
    Timing,
)
from eebench.records.tables import EvaluationRow, ResultRow, RunRow, TimingRow

__all__ = ["Ending", "LeftOut", "Newest", "NewestTimings", "Run", "Status", "Store", "default_url"]

IDS_AT_ONCE = 500
"""Ids named in one query: databases have a limit."""

Ending = Literal["finished", "interrupted", "failed"]
Status = Literal["running", "finished", "interrupted", "failed"]


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
class Newest:
    """The newest comparable results, what was left out to keep them comparable, and the other KV modes there are."""

    results: list[StoredResult]
    left_out: list[LeftOut]
    other_modes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewestTimings:
    """The newest comparable timings, and what was left out to keep them comparable."""

    timings: list[StoredTiming]
    left_out: list[LeftOut]


class Store:
    """A database of results, opened with `Store.open` and used in a `with` statement."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[int, Columns] = {}

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

    def begin_run(self, provenance: Provenance, started: str | None = None) -> int:
        """Note that a run has started, and return its id.

        Args:
            started: an ISO 8601 time, where it was not now.

        Raises:
            EEBenchError: the database cannot be written to; so for the other writing methods.
        """
        return self._add(RunRow(status="running", started=_time(started), **asdict(provenance)))

    def finish_run(self, run_id: int, status: Ending, finished: str | None = None) -> None:
        """Note how a run ended, and when (an ISO 8601 time, where it was not now); the first word on it stays."""
        ended = update(RunRow).where(RunRow.id == run_id, RunRow.status == "running")
        with self._transaction() as session:
            session.execute(ended.values(status=status, finished=_time(finished)))

    def add_evaluation(self, run_id: int, evaluation: Evaluation) -> int:
        """Keep one (model, task) of a run, and return its id."""
        return self._add(EvaluationRow(run_id=run_id, **_values(evaluation)))

    def add_result(self, evaluation_id: int, result: Result) -> int:
        """Keep one setting on an evaluation, and return its id."""
        return self._add(ResultRow(evaluation_id=evaluation_id, finished=_now(), **_values(result)))

    def add_timings(self, run_id: int, timings: Iterable[Timing]) -> list[int]:
        """Keep timings of a run, all or none, and return their ids."""
        rows = [TimingRow(run_id=run_id, finished=_now(), **_values(timing)) for timing in timings]
        with self._transaction() as session:
            session.add_all(rows)
            session.flush()
            return [row.id for row in rows]

    # --- reading -------------------------------------------------------------------------------------------------

    def newest(
        self,
        models: Collection[str] = (),
        tasks: Collection[str] = (),
        kv_mode: KvMode = "full",
        metric: str | None = None,
    ) -> Newest:
        """The newest result of every setting that can be compared with the newest evaluation of its (model, task).

        Results of older and of interrupted runs count, as long as the model's revision and dtype, and the task's
        version, shots, template, documents and main metric are those of the newest evaluation that has results.

        Args:
            models: only these models; all when empty.
            tasks: only these tasks; all when empty.
            kv_mode: only evaluations under this KV mode; each mode has a newest evaluation of its own.
            metric: only evaluations whose main metric this is; each metric has a newest evaluation of its own.

        Raises:
            EEBenchError: there are no results at all, none of a model, task, KV mode or metric named, or the database
                cannot be read.
        """
        with self._transaction() as session:
            wanted = self._evaluations(session, models, tasks)
            in_mode = [row for row in wanted if row.kv_mode == kv_mode]
            other_modes = _in_order({row.kv_mode for row in wanted} - {kv_mode})
            if not in_mode:
                raise EEBenchError(
                    f"no results under KV mode {kv_mode} yet: there are some under {', '.join(other_modes)}, as in "
                    f"`eebench report --kv-mode {other_modes[0]}`"
                )
            measured = _measured_in(session, in_mode, metric)
            comparable, others = with_newest(measured, lambda row: (row.model, row.task), EVALUATION_KEY)
            counts = _counts(session, [row.id for row, _differences in others])
            return Newest(
                _newest_results(session, comparable),
                left_out(others, lambda row: counts[row.id], "result"),
                other_modes,
            )

    def all_results(
        self, models: Collection[str] = (), tasks: Collection[str] = (), kv_mode: KvMode = "full"
    ) -> list[StoredResult]:
        """Every result under a KV mode, of whichever run, the oldest first.

        Raises:
            EEBenchError: as `newest`.
        """
        with self._transaction() as session:
            wanted = [row for row in self._evaluations(session, models, tasks) if row.kv_mode == kv_mode]
            return _all_results(session, wanted)

    def newest_by_mode(
        self, models: Collection[str] = (), tasks: Collection[str] = (), metric: str | None = None
    ) -> list[StoredResult]:
        """The newest results of each (model, task) under all KV modes it was measured under with the same documents.

        Where a (model, task) has several sets of evaluations that can be compared, the newest that has more than one
        mode counts; those that have none are left out.

        Args:
            metric: only evaluations whose main metric this is.

        Raises:
            EEBenchError: as `newest`; or nothing has been measured under more than one mode.
        """
        with self._transaction() as session:
            sets: dict[tuple[Any, ...], list[EvaluationRow]] = {}
            for row in _measured_in(session, self._evaluations(session, models, tasks), metric):
                sets.setdefault((row.model, row.task, *(getattr(row, name) for name in EVALUATION_KEY)), []).append(row)
            several = [rows for rows in sets.values() if len({row.kv_mode for row in rows}) > 1]
            if not several:
                raise EEBenchError(
                    "nothing has been measured under more than one KV mode on the same documents yet: `eebench run "
                    "--kv-mode full,copy` measures generation tasks under another"
                )
            several.sort(key=lambda rows: rows[-1].id)
            newest = {(rows[0].model, rows[0].task): rows for rows in several}
            return _newest_results(session, [row for rows in newest.values() for row in rows])

    def newest_timings(self, models: Collection[str] = ()) -> NewestTimings:
        """The newest timing of every setting and KV mode that can be compared with the newest of its (model, task) on
        its device.

        Args:
            models: only these models; all when empty. That there are none is no error.

        Raises:
            EEBenchError: the database cannot be read.
        """
        with self._transaction() as session:
            rows = session.scalars(select(TimingRow).order_by(TimingRow.id)).all()
            wanted = [row for row in rows if not models or row.model in models]
            comparable, others = with_newest(wanted, lambda row: (row.model, row.task, row.device_name), TIMING_KEY)
            newest = {
                (row.model, row.task, row.device_name, row.setting, row.kv_mode, row.draft_length): row
                for row in comparable
            }
            kept = sorted(newest.values(), key=lambda row: row.id)
            return NewestTimings([_timing(row) for row in kept], left_out(others, lambda _row: 1, "timing"))

    def _evaluations(
        self, session: Session, models: Collection[str], tasks: Collection[str]
    ) -> Sequence[EvaluationRow]:
        """Evaluations that have results, of the models and tasks named, the oldest first."""
        rows = session.scalars(
            select(EvaluationRow).where(EvaluationRow.results.any()).order_by(EvaluationRow.id)
        ).all()
        if not rows:
            raise no_results(self._engine.url)
        _check_known("model", models, {row.model for row in rows})
        _check_known("task", tasks, {row.task for row in rows})
        wanted = [row for row in rows if (not models or row.model in models) and (not tasks or row.task in tasks)]
        if not wanted:
            raise EEBenchError(f"no results of {', '.join(models)} on {', '.join(tasks)} yet: `eebench run` them")
        return wanted

    def of_run(self, run_id: int) -> list[StoredResult]:
        """Every result of a run, the oldest first.

        Raises:
            EEBenchError: the database cannot be read.
        """
        with self._transaction() as session:
            rows = session.scalars(select(EvaluationRow).where(EvaluationRow.run_id == run_id))
            return _all_results(session, rows)

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

    def of_results(self, results: Sequence[StoredResult]) -> dict[int, Columns]:
        """The per-document columns of results, by their ids."""
        wanted = [stored.result_id for stored in results]
        found: dict[int, Columns] = {}
        with self._transaction() as session:
            for start in range(0, len(wanted), IDS_AT_ONCE):
                some = wanted[start : start + IDS_AT_ONCE]
                rows = session.execute(select(ResultRow.id, ResultRow.documents).where(ResultRow.id.in_(some)))
                found |= {row.id: row.documents for row in rows}
        return found

    def of_evaluation(self, evaluation_id: int) -> Columns:
        """The per-document columns of an evaluation, read once."""
        if evaluation_id not in self._kept:
            self._kept[evaluation_id] = self.evaluation_documents(evaluation_id)
        return self._kept[evaluation_id]

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


def _time(said: str | None) -> datetime:
    return _now() if said is None else datetime.fromisoformat(said)


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _values(record: Evaluation | Result | Timing) -> dict[str, Any]:
    """The fields of a record as its table's columns take them."""
    return {field.name: _value(getattr(record, field.name)) for field in fields(record)}


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, Summary | MetricValue):
        return asdict(value)
    return value.item() if isinstance(value, np.generic) else value


def _measured_in(session: Session, rows: Sequence[EvaluationRow], metric: str | None) -> Sequence[EvaluationRow]:
    """The evaluations whose main metric is the one named, if one is.

    Raises:
        EEBenchError: there is none.
    """
    if metric is None:
        return rows
    names = {row.id: _names_of_metric(session, row) for row in rows}
    found = [row for row in rows if metric in names[row.id]]
    if not found:
        there = dict.fromkeys(names[row.id][0] for row in rows)
        raise EEBenchError(
            f"no results measured in {metric} yet: there are some in {', '.join(there)}, and `eebench run --metric` "
            f"measures in another metric of a task"
        )
    return found


def _names_of_metric(session: Session, row: EvaluationRow) -> tuple[str, ...]:
    """What the main metric of an evaluation may be called: its first filter is meant where none is named."""
    of_a_result = select(ResultRow.metrics).where(ResultRow.evaluation_id == row.id).limit(1)
    metrics: Mapping[str, Any] = session.execute(of_a_result).scalar_one()
    in_full = next((name for name in metrics if name_of(name) == row.metric), row.metric)
    return row.metric.removesuffix(",none"), row.metric, in_full


def _newest_results(session: Session, evaluations: Iterable[EvaluationRow]) -> list[StoredResult]:
    """The newest result of every setting of every (model, task, KV mode) among these evaluations."""
    by_id = {row.id: row for row in evaluations}
    ids = (
        select(func.max(ResultRow.id))
        .join(EvaluationRow)
        .where(ResultRow.evaluation_id.in_(by_id))
        .group_by(EvaluationRow.model, EvaluationRow.task, EvaluationRow.kv_mode, ResultRow.policy, ResultRow.setting)
    )
    return _stored(session.scalars(select(ResultRow).where(ResultRow.id.in_(ids)).order_by(ResultRow.id)), by_id)


def _all_results(session: Session, evaluations: Iterable[EvaluationRow]) -> list[StoredResult]:
    """Every result of these evaluations."""
    by_id = {row.id: row for row in evaluations}
    rows = session.scalars(select(ResultRow).where(ResultRow.evaluation_id.in_(by_id)).order_by(ResultRow.id))
    return _stored(rows, by_id)


def _stored(rows: Iterable[ResultRow], evaluations: Mapping[int, EvaluationRow]) -> list[StoredResult]:
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


def _counts(session: Session, evaluation_ids: Collection[int]) -> dict[int, int]:
    """How many results evaluations have."""
    counted = (
        select(ResultRow.evaluation_id, func.count())
        .where(ResultRow.evaluation_id.in_(evaluation_ids))
        .group_by(ResultRow.evaluation_id)
    )
    return {row[0]: row[1] for row in session.execute(counted)}


def _in_order(modes: Collection[str]) -> tuple[str, ...]:
    return tuple(mode for mode in KV_MODES if mode in modes)


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


def _timing(row: TimingRow) -> StoredTiming:
    values = {field.name: getattr(row, field.name) for field in fields(Timing)}
    return StoredTiming(row.run_id, row.id, _iso(row.finished), Timing(**values))


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
