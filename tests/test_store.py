"""The store gives back what was put in, compares like with like, and refuses databases with a sentence."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sqlalchemy.exc import StatementError

from eebench.errors import EEBenchError
from eebench.records import tables
from eebench.records.comparable import sentences
from eebench.records.results import Columns, Evaluation, MetricValue, Result, Timing
from eebench.records.store import Store, default_url
from tests.records import evaluation, provenance, result, summary, timing


def same_columns(one: Columns, other: Columns) -> None:
    assert list(one) == list(other)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], strict=True)


class StoreContract:
    """What a store promises on every kind of database. Subclasses have a fixture `url` of an empty one."""

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        with Store.open(url) as store:
            yield store

    @pytest.fixture
    def run(self, store: Store) -> int:
        return store.begin_run(provenance())

    def test_an_evaluation_and_its_result_come_back_as_they_went_in(self, store: Store, run: int) -> None:
        kept, made = evaluation(), result()
        evaluation_id = store.add_evaluation(run, kept)
        result_id = store.add_result(evaluation_id, made)

        (stored,) = store.newest().results

        assert (stored.run_id, stored.evaluation_id, stored.result_id) == (run, evaluation_id, result_id)
        assert stored.evaluation == replace(kept, documents={})
        assert stored.result == replace(made, documents={})
        assert stored.finished.endswith("+00:00")
        same_columns(store.documents(result_id), made.documents)
        same_columns(store.evaluation_documents(evaluation_id), kept.documents)

    def test_the_newest_result_of_every_setting_counts_and_the_old_one_stays(self, store: Store, run: int) -> None:
        kept = store.add_evaluation(run, evaluation())
        first = store.add_result(kept, result(quality_full=0.25))
        other = store.add_result(kept, result(parameters="threshold=0.9"))
        again = store.add_result(store.add_evaluation(store.begin_run(provenance()), evaluation()), result())

        assert [stored.result_id for stored in store.newest().results] == [other, again]
        same_columns(store.documents(first), result().documents)

    def test_results_of_earlier_runs_stand_beside_new_ones(self, store: Store, run: int) -> None:
        store.add_result(store.add_evaluation(run, evaluation()), result("entropy"))
        store.add_result(store.add_evaluation(store.begin_run(provenance()), evaluation()), result("patience"))

        newest = store.newest()

        assert [stored.result.policy for stored in newest.results] == ["entropy", "patience"]
        assert newest.left_out == []

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"revision": "def456"}, "another revision of the model"),
            ({"dtype": "bfloat16"}, "another dtype"),
            ({"task_version": "2"}, "another task version"),
            ({"num_fewshot": 5}, "another number of shots"),
            ({"chat_template": True}, "the chat template set otherwise"),
            ({"documents_hash": "beef"}, "other documents"),
            ({"metric": "acc_norm"}, "another main metric"),
        ],
    )
    def test_results_that_cannot_be_compared_with_the_newest_are_left_out_and_counted(
        self, store: Store, run: int, changed: dict[str, Any], words: str
    ) -> None:
        old = store.add_evaluation(run, evaluation(**changed))
        store.add_result(old, result())
        store.add_result(old, result(parameters="threshold=0.9"))
        kept = store.add_result(store.add_evaluation(run, evaluation()), result())

        newest = store.newest()

        assert [stored.result_id for stored in newest.results] == [kept]
        assert list(map(str, newest.left_out)) == [
            f"Left out: 2 older results of tiny on agreement, measured with {words}."
        ]

    def test_results_of_several_tasks_that_are_left_out_for_one_reason_are_one_sentence(
        self, store: Store, run: int
    ) -> None:
        for task in ("agreement", "facts"):
            for version in ("1", "2"):
                store.add_result(store.add_evaluation(run, evaluation(task=task, task_version=version)), result())
        store.add_result(store.add_evaluation(run, evaluation(model="small", dtype="float16")), result())
        store.add_result(store.add_evaluation(run, evaluation(model="small")), result())

        assert sentences(store.newest().left_out) == [
            "Left out: 2 older results of tiny on 2 tasks, measured with another task version.",
            "Left out: 1 older result of small on agreement, measured with another dtype.",
        ]

    def test_another_task_or_model_leaves_nothing_out(self, store: Store, run: int) -> None:
        for changed in ({}, {"task": "facts", "documents_hash": "beef"}, {"model": "small", "revision": "def456"}):
            store.add_result(store.add_evaluation(run, evaluation(**changed)), result())

        newest = store.newest()

        assert len(newest.results) == 3
        assert newest.left_out == []

    def test_an_evaluation_without_results_does_not_hide_older_ones(self, store: Store, run: int) -> None:
        kept = store.add_result(store.add_evaluation(run, evaluation()), result())
        store.add_evaluation(run, evaluation(documents_hash="beef"))

        assert [stored.result_id for stored in store.newest().results] == [kept]

    def test_models_and_tasks_can_be_chosen(self, store: Store, run: int) -> None:
        for model in ("tiny", "small"):
            for task in ("agreement", "facts"):
                store.add_result(store.add_evaluation(run, evaluation(model=model, task=task)), result())

        newest = store.newest(models=["tiny"], tasks=["facts", "agreement"])

        chosen = [(stored.evaluation.model, stored.evaluation.task) for stored in newest.results]
        assert chosen == [("tiny", "agreement"), ("tiny", "facts")]

    def test_an_unknown_name_is_answered_with_near_ones_and_what_there_is(self, store: Store, run: int) -> None:
        store.add_result(store.add_evaluation(run, evaluation()), result())

        with pytest.raises(EEBenchError) as raised:
            store.newest(tasks=["agrement"])
        assert raised.value.message == (
            "unknown task 'agrement': did you mean agreement? There are results of agreement."
        )
        with pytest.raises(EEBenchError, match="unknown model 'tony': did you mean tiny"):
            store.newest(models=["tony"])

    def test_a_model_and_a_task_that_never_met_are_named(self, store: Store, run: int) -> None:
        store.add_result(store.add_evaluation(run, evaluation()), result())
        store.add_result(store.add_evaluation(run, evaluation(model="small", task="facts")), result())

        with pytest.raises(EEBenchError, match="no results of small on agreement yet"):
            store.newest(["small"], ["agreement"])

    def test_results_under_other_kv_modes_are_neither_mixed_in_nor_left_out_but_named(
        self, store: Store, run: int
    ) -> None:
        kept = {
            mode: store.add_result(store.add_evaluation(run, evaluation(kv_mode=mode)), result())
            for mode in ("full", "propagate", "copy")
        }
        newest = store.newest()
        assert ([stored.result_id for stored in newest.results], newest.left_out) == ([kept["full"]], [])
        assert newest.other_modes == ("propagate", "copy")
        (copied,) = store.newest(kv_mode="copy").results
        assert (copied.result_id, copied.evaluation.kv_mode) == (kept["copy"], "copy")

    def test_each_kv_mode_has_a_newest_evaluation_of_its_own(self, store: Store, run: int) -> None:
        store.add_result(store.add_evaluation(run, evaluation(kv_mode="copy", documents_hash="beef")), result())
        kept = store.add_result(store.add_evaluation(run, evaluation(kv_mode="copy")), result())
        store.add_result(store.add_evaluation(run, evaluation(documents_hash="f00")), result())
        newest = store.newest(kv_mode="copy")
        assert [stored.result_id for stored in newest.results] == [kept]
        assert [str(left_out) for left_out in newest.left_out] == [
            "Left out: 1 older result of tiny on agreement, measured with other documents."
        ]

    def test_a_kv_mode_that_nothing_was_measured_under_is_a_sentence(self, store: Store, run: int) -> None:
        store.add_result(store.add_evaluation(run, evaluation(kv_mode="copy")), result())
        with pytest.raises(EEBenchError) as raised:
            store.newest()
        assert raised.value.message == (
            "no results under KV mode full yet: there are some under copy, as in `eebench report --kv-mode copy`"
        )

    def test_each_metric_has_a_newest_evaluation_of_its_own(self, store: Store, run: int) -> None:
        old = evaluation(metric="acc_norm", documents_hash="beef")
        store.add_result(store.add_evaluation(run, old), result())
        kept = {
            metric: store.add_result(store.add_evaluation(run, evaluation(metric=metric)), result())
            for metric in ("acc_norm", "acc")
        }
        assert [stored.result_id for stored in store.newest().results] == [kept["acc"]]
        newest = store.newest(metric="acc_norm")
        assert [stored.result_id for stored in newest.results] == [kept["acc_norm"]]
        assert [str(left_out) for left_out in newest.left_out] == [
            "Left out: 1 older result of tiny on agreement, measured with other documents."
        ]

    def test_a_task_that_was_not_measured_in_the_metric_named_is_not_among_them(self, store: Store, run: int) -> None:
        kept = store.add_result(store.add_evaluation(run, evaluation(metric="acc_norm")), result())
        store.add_result(store.add_evaluation(run, evaluation(task="passages", metric="bits_per_byte")), result())
        newest = store.newest(metric="acc_norm")
        assert ([stored.result_id for stored in newest.results], newest.left_out) == ([kept], [])

    @pytest.mark.parametrize(
        ("named", "found"),
        [
            ("exact_match", ["exact_match"]),
            ("exact_match,strict", ["exact_match"]),
            ("exact_match,flexible", ["exact_match,flexible"]),
        ],
    )
    def test_the_first_filter_of_a_metric_is_found_with_its_name_and_without(
        self, store: Store, run: int, named: str, found: list[str]
    ) -> None:
        metrics = {f"exact_match,{name}": MetricValue(0.5, 0.25) for name in ("strict", "flexible")}
        for metric in ("exact_match", "exact_match,flexible"):
            store.add_result(store.add_evaluation(run, evaluation(metric=metric)), result(metrics=metrics))
        assert [stored.evaluation.metric for stored in store.newest(metric=named).results] == found

    def test_a_metric_that_nothing_was_measured_in_is_told_with_those_there_are(self, store: Store, run: int) -> None:
        for task, metric in (("agreement", "acc,none"), ("passages", "bits_per_byte")):
            store.add_result(store.add_evaluation(run, evaluation(task=task, metric=metric)), result())
        with pytest.raises(EEBenchError) as raised:
            store.newest(metric="acc_norm")
        assert raised.value.message == (
            "no results measured in acc_norm yet: there are some in acc, bits_per_byte, and `eebench run --metric` "
            "measures in another metric of a task"
        )
        assert len(store.newest(metric="acc").results) == 1

    def test_kv_modes_stand_side_by_side_in_one_metric(self, store: Store, run: int) -> None:
        kept: dict[str, list[int]] = {}
        for metric, modes in (("acc_norm", ("full", "copy")), ("acc", ("full", "copy")), ("f1", ("full",))):
            evaluations = [evaluation(kv_mode=mode, metric=metric) for mode in modes]
            kept[metric] = [store.add_result(store.add_evaluation(run, made), result()) for made in evaluations]
        assert [stored.result_id for stored in store.newest_by_mode()] == kept["acc"]
        assert [stored.result_id for stored in store.newest_by_mode(metric="acc_norm")] == kept["acc_norm"]
        with pytest.raises(EEBenchError, match="under more than one KV mode"):
            store.newest_by_mode(metric="f1")

    def test_kv_modes_stand_side_by_side_on_the_newest_documents_that_several_share(
        self, store: Store, run: int
    ) -> None:
        kept: dict[str, list[int]] = {}
        for documents, modes in (
            ("old", ("full", "copy")),
            ("new", ("full", "copy", "propagate")),
            ("more", ("full",)),
        ):
            evaluations = [evaluation(kv_mode=mode, documents_hash=documents) for mode in modes]
            kept[documents] = [store.add_result(store.add_evaluation(run, made), result()) for made in evaluations]
        assert [stored.result_id for stored in store.newest_by_mode()] == kept["new"]

    def test_where_there_is_one_kv_mode_only_there_is_nothing_to_compare(self, store: Store, run: int) -> None:
        store.add_result(store.add_evaluation(run, evaluation()), result())
        with pytest.raises(EEBenchError, match="under more than one KV mode on the same documents yet: `eebench run"):
            store.newest_by_mode()

    def test_timings_come_back_as_they_went_in(self, store: Store, run: int) -> None:
        made = [timing("full"), timing(kv_mode="verify", draft_length=np.int64(4), flops=np.float64(1.5))]
        ids = store.add_timings(run, made)

        kept = store.newest_timings().timings

        assert [stored.timing for stored in kept] == made
        assert [stored.timing_id for stored in kept] == ids
        assert {stored.run_id for stored in kept} == {run}
        assert kept[0].finished.endswith("+00:00")

    def test_the_newest_timing_of_every_setting_kv_mode_and_device_counts(self, store: Store, run: int) -> None:
        store.add_timings(run, [timing(), timing(kv_mode="copy"), timing(device_name="A GPU", threads=8)])
        again = timing(seconds=(1.0,) * 3)
        store.add_timings(store.begin_run(provenance()), [again])
        newest = store.newest_timings()
        assert [stored.timing for stored in newest.timings] == [
            timing(kv_mode="copy"),
            timing(device_name="A GPU", threads=8),
            again,
        ]
        assert newest.left_out == []

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"revision": "def456"}, "another revision of the model"),
            ({"dtype": "bfloat16"}, "another dtype"),
            ({"threads": 1}, "another number of threads"),
            ({"new_tokens": 64}, "another number of new tokens"),
            ({"prompts_hash": "beef"}, "other prompts"),
        ],
    )
    def test_timings_that_cannot_be_compared_with_the_newest_are_left_out_and_counted(
        self, store: Store, run: int, changed: dict[str, Any], words: str
    ) -> None:
        store.add_timings(run, [timing("full", **changed), timing(**changed)])
        store.add_timings(run, [timing("full")])
        newest = store.newest_timings()
        assert [stored.timing for stored in newest.timings] == [timing("full")]
        assert sentences(newest.left_out) == [f"Left out: 2 older timings of tiny on lists, measured with {words}."]

    def test_timings_that_cannot_be_written_leave_nothing_behind(self, store: Store, run: int) -> None:
        with pytest.raises((StatementError, TypeError)):
            store.add_timings(run, [timing(), timing(params={"no JSON": object()})])
        assert store.newest_timings().timings == []

    def test_timings_of_some_models_alone(self, store: Store, run: int) -> None:
        store.add_timings(run, [timing(), timing(model="small")])
        assert [stored.timing.model for stored in store.newest_timings(["small"]).timings] == ["small"]
        assert store.newest_timings(["none"]).timings == []

    def test_a_store_without_results_says_how_to_make_some(self, store: Store, run: int) -> None:
        store.add_evaluation(run, evaluation())
        with pytest.raises(EEBenchError, match=r"no results yet in .*: start with `eebench run`"):
            store.newest()

    def test_runs_are_listed_with_their_provenance_and_their_end(self, store: Store) -> None:
        first = store.begin_run(provenance(seed=2**40, git_dirty=None, git_commit=None))
        kept = store.add_evaluation(first, evaluation())
        store.add_result(kept, result())
        store.add_result(kept, result("patience"))
        store.finish_run(first, "interrupted")
        store.finish_run(first, "finished")
        second = store.begin_run(provenance())

        newest, oldest = store.runs()

        assert (newest.id, newest.status, newest.finished, newest.n_results) == (second, "running", None, 0)
        assert newest.provenance == provenance()
        assert (oldest.id, oldest.status, oldest.n_results) == (first, "interrupted", 2)
        assert oldest.provenance == provenance(seed=2**40, git_dirty=None, git_commit=None)
        assert oldest.finished is not None
        assert oldest.started <= oldest.finished

    def test_results_of_an_interrupted_run_count(self, store: Store, run: int) -> None:
        kept = store.add_result(store.add_evaluation(run, evaluation()), result())
        store.finish_run(run, "interrupted")
        assert [stored.result_id for stored in store.newest().results] == [kept]

    def test_numpy_numbers_are_kept_as_numbers_and_what_is_not_finite_as_none(self, store: Store, run: int) -> None:
        kept = evaluation(n_positions=np.int64(6), informative=np.bool_(True), chance=np.float32(0.25))
        made = result(
            params={"p": np.float64(0.5), "layers": [np.int32(3)]},
            summaries={"all": summary(quality=float("inf"), fidelity=np.float64(0.5))},
            metrics={"acc,none": MetricValue(float("nan"), np.float64(0.25))},
            exit_histogram=list(np.arange(6)),
        )
        store.add_result(store.add_evaluation(run, kept), made)

        (stored,) = store.newest().results

        assert (stored.evaluation.n_positions, stored.evaluation.informative, stored.evaluation.chance) == (
            6,
            True,
            0.25,
        )
        assert stored.result.params == {"p": 0.5, "layers": [3]}
        assert stored.result.summaries == {"all": summary(quality=None, fidelity=0.5)}
        assert stored.result.metrics == {"acc,none": MetricValue(None, 0.25)}
        assert stored.result.exit_histogram == [0, 1, 2, 3, 4, 5]

    def test_a_result_that_cannot_be_written_leaves_nothing_behind(self, store: Store, run: int) -> None:
        kept = store.add_evaluation(run, evaluation())
        with pytest.raises((StatementError, TypeError)):  # SQLAlchemy's or the driver's
            store.add_result(kept, result(params={"no JSON": object()}))
        store.add_result(kept, result("patience"))
        assert [stored.result.policy for stored in store.newest().results] == ["patience"]

    def test_a_store_can_be_opened_again(self, store: Store, run: int, url: str) -> None:
        store.add_result(store.add_evaluation(run, evaluation()), result())
        with Store.open(url, create=False) as again:
            assert again.newest() == store.newest()

    def test_two_processes_may_make_and_fill_one_database_at_once(self, url: str, tmp_path: Path) -> None:
        go = tmp_path / "go"
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, url, policy, str(go)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
                stderr=subprocess.PIPE,
                text=True,
            )
            for policy in ("entropy", "patience")
        ]
        go.touch()
        for writer in writers:
            _, complaint = writer.communicate()
            assert writer.returncode == 0, complaint
        with Store.open(url, create=False) as store:
            policies = [stored.result.policy for stored in store.newest().results]
        assert (policies.count("entropy"), policies.count("patience")) == (25, 25)


WRITER = """
import sys, time
from pathlib import Path
from eebench.records.store import Store
from tests.records import evaluation, provenance, result

_, url, policy, go = sys.argv
while not Path(go).exists():
    time.sleep(0.001)
with Store.open(url) as store:
    for number in range(25):
        run = store.begin_run(provenance())
        store.add_result(store.add_evaluation(run, evaluation()), result(policy, f"threshold={number}"))
        store.finish_run(run, "finished")
"""


class TestSqlite(StoreContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'results.db'}"

    def test_readers_do_not_wait_for_writers(self, store: Store, url: str) -> None:
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_a_result_needs_its_evaluation(self, store: Store) -> None:
        with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
            store.add_result(1, result())

    def test_a_database_that_breaks_while_in_use_is_a_sentence(self, store: Store, run: int, url: str) -> None:
        path = Path(url.removeprefix("sqlite:///"))
        store.close()
        path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
        path.write_bytes(path.read_bytes()[:100] + b"?" * 20_000)
        with pytest.raises(EEBenchError, match=r"the database .*results.db failed: "):
            store.begin_run(provenance())


# --- columns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "record", "own"),
    [
        (tables.EvaluationRow, Evaluation, {"id", "run_id"}),
        (tables.ResultRow, Result, {"id", "evaluation_id", "finished"}),
        (tables.TimingRow, Timing, {"id", "run_id", "finished"}),
    ],
)
def test_every_field_of_a_record_has_its_column(table: type[tables.Table], record: Any, own: set[str]) -> None:
    assert {column.name for column in table.__table__.columns} - own == {field.name for field in fields(record)}


_DTYPES = st.sampled_from(["?", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "U7"])
_TEXT = {"alphabet": st.characters(exclude_categories=["Cs"])}  # half a surrogate pair is no text


@given(st.data())
def test_arrays_of_any_type_and_shape_survive_packing(data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 4))
    made = {}
    for name in data.draw(st.lists(st.text(min_size=1), max_size=4, unique=True)):
        inner = data.draw(st.just(()) | array_shapes(max_dims=2, max_side=3))
        made[name] = data.draw(arrays(data.draw(_DTYPES), (rows, *inner), elements=_TEXT))
    same_columns(tables.unpack(tables.pack(made)), made)


# --- opening -----------------------------------------------------------------------------------------------------


def refusal(url: str, *, create: bool = True) -> str:
    """What a database is refused with."""
    with pytest.raises(EEBenchError) as raised:
        Store.open(url, create=create)
    assert raised.value.exit_code == 2
    assert "\n" not in raised.value.message
    return raised.value.message


def test_a_plain_path_is_an_sqlite_file(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "results.db")).close()
    assert (tmp_path / "results.db").read_bytes().startswith(b"SQLite format 3")


def test_the_default_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EEBENCH_DB", "postgresql://somewhere/results")
    assert default_url() == "postgresql://somewhere/results"


def test_without_it_the_default_is_a_file_in_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EEBENCH_DB", raising=False)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_args, **_options: str(tmp_path / "data" / "eebench"))
    assert default_url() == f"sqlite:///{tmp_path}/data/eebench/eebench.db"
    Store.open().close()
    assert (tmp_path / "data" / "eebench" / "eebench.db").is_file()


@pytest.mark.parametrize("empty", [True, False])
def test_reading_where_nothing_was_written_says_how_to_start(tmp_path: Path, empty: bool) -> None:
    path = tmp_path / "results.db"
    if empty:
        path.touch()
    assert refusal(str(path), create=False) == f"no results yet in {path}: start with `eebench run`"
    assert path.exists() == empty
    assert not empty or path.read_bytes() == b""


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "none" / "results.db"), create=False).startswith("no results yet in")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "results.db"
    assert refusal(str(path)) == f"the database {path} cannot be opened: there is no folder {path.parent}"


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)) == f"the database {tmp_path} cannot be opened: it is a folder, and should be a file"


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    said = refusal(str(tmp_path / "results.db"))
    assert said.endswith(f"cannot be opened: the folder {tmp_path} may not be written to")


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Not a database at all, but a text of some length.\n" * 50)
    before = path.read_bytes()
    assert refusal(str(path), create=create) == f"the database {path} cannot be opened: file is not a database"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("table", ["photos", "alembic_version", "results"])
def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path, create: bool, table: str) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} (id INTEGER)")
    before = path.read_bytes()
    assert refusal(str(path), create=create) == (
        f"the database {path} is not EEBench's: it holds other tables ({table}); name a database of its own for EEBench"
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3cret@host:port/db", "sqlite//:s3cret://x", "://s3cret", "sqlite:///x.db?timeout=s3cret"]
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    said = refusal(url)
    assert said.startswith("the database URL cannot be read: write sqlite:///FILE or postgresql://")
    assert "s3cret" not in said


def test_another_kind_of_database_is_refused() -> None:
    assert refusal("mysql://me:s3cret@host/db") == "EEBench keeps results in SQLite or PostgreSQL, not in 'mysql'"


def test_a_missing_driver_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    said = refusal("postgresql://me:s3cret@host/db")
    assert said == "PostgreSQL needs a driver: pip install 'eebench[postgres]'"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
@pytest.mark.parametrize("address", ["me:s3cret@127.0.0.1:1/db", "me@127.0.0.1:1/db?password=s3cret"])
def test_a_server_out_of_reach_is_named_without_its_password(scheme: str, address: str) -> None:
    pytest.importorskip("psycopg")
    said = refusal(f"{scheme}://{address}")
    assert said.startswith("the database postgresql://me")
    assert "@127.0.0.1:1/db cannot be opened: " in said
    assert "s3cret" not in said


def test_reading_imports_nothing_heavy(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'results.db'}"
    with Store.open(url) as store:
        store.add_result(store.add_evaluation(store.begin_run(provenance()), evaluation()), result())
    script = (
        "import sys; from eebench.records.store import Store; store = Store.open(sys.argv[1], create=False);"
        "assert len(store.newest().results) == 1 and len(store.runs()) == 1;"
        "print(sorted({'torch', 'lm_eval', 'pandas', 'alembic', 'pyarrow', 'scipy'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", script, url], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "[]"
