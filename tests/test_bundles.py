"""A bundle is the results of a run, bit by bit, as text to be read, compared and sent, and it can do no harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eebench import archives
from eebench.errors import EEBenchError
from eebench.own_tasks import OWN_TASKS
from eebench.plugins.sources import LARGEST
from eebench.published.replaying import DocumentRows
from eebench.ranking.rank import rank
from eebench.records.results import Evaluation, Result
from eebench.records.store import Store
from eebench.submission import bundles
from eebench.submission.bundles import Bundle, read_bundle, write_bundle
from eebench.submission.standings import standings
from tests.records import evaluation, provenance, result, summary
from tests.worlds import CHOICE, DICE, DOCUMENTS, ROLLING, WRITTEN, Changed, World, bundle_of, eebench


def refused(*arguments: str | Path) -> str:
    """The one sentence that wrong input gets, with exit code 2 and no traceback."""
    answer = eebench(*arguments)
    assert answer.exit_code == 2, (answer.exit_code, answer.output)
    assert isinstance(answer.exception, SystemExit)
    assert answer.stderr.count("\n") == 1
    return answer.stderr.removeprefix("Error: ").rstrip("\n")


def assert_same(one: Evaluation | Result, other: Evaluation | Result) -> None:
    """The same records, their per-document columns bit by bit."""
    for name in (field.name for field in fields(one) if field.name != "documents"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.documents.keys() <= other.documents.keys() <= {*one.documents, "id"}
    for name, values in one.documents.items():
        assert values.shape == other.documents[name].shape, name
        if values.dtype.kind != "U":
            assert (values.dtype, values.tobytes()) == (other.documents[name].dtype, other.documents[name].tobytes())
        assert np.array_equal(values, other.documents[name], equal_nan=values.dtype.kind == "f"), name


class TestRoundTrip:
    def test_what_is_read_is_what_the_database_holds_bit_by_bit(self, world: World, tmp_path: Path) -> None:
        read = read_bundle(bundle_of(world, tmp_path))
        with Store.open() as store:
            (run,) = store.runs()
            stored = store.of_run(run.id)
            assert (read.provenance, read.started, read.finished) == (run.provenance, run.started, run.finished)
            assert [one.evaluation.task for one in read.evaluations] == [CHOICE, ROLLING, WRITTEN]
            results = [result for one in read.evaluations for result in one.results]
            for kept, result in zip(stored, results, strict=True):
                assert_same(replace(kept.result, documents=store.documents(kept.result_id)), result)
            by_id = {kept.evaluation_id: kept.evaluation for kept in stored}
            for (number, shared), one in zip(by_id.items(), read.evaluations, strict=True):
                assert_same(replace(shared, documents=store.evaluation_documents(number)), one.evaluation)

    @pytest.mark.parametrize("name", ["again", "again.tar.gz", "again.tgz"])
    def test_a_folder_and_an_archive_hold_the_same(self, world: World, tmp_path: Path, name: str) -> None:
        first = read_bundle(bundle_of(world, tmp_path))
        assert eebench("export", "-o", tmp_path / name).exit_code == 0
        again = read_bundle(tmp_path / name)
        assert again.digest == first.digest
        assert again.altered == ()

    def test_the_same_run_makes_the_same_bytes(self, world: World, tmp_path: Path) -> None:
        for name in ("one.tar.gz", "two.tar.gz"):
            assert eebench("export", "-o", tmp_path / name).exit_code == 0
        assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()

    def test_what_settings_share_is_written_once(self, world: World, tmp_path: Path) -> None:
        folder = bundle_of(world, tmp_path)
        files = json.loads((folder / "bundle.json").read_text())["evaluations"][0]
        lines = [json.loads(line) for line in (folder / files["results"]).read_text().splitlines()]
        assert not any({"id", "n_positions", "flops_full"} & line["documents"].keys() for line in lines)
        cut = next(line for line in lines if line["setting"] == "static:layer=1")
        assert cut["documents"] == {}

    def test_the_best_settings_alone_are_ranked_alike(self, world: World, tmp_path: Path) -> None:
        assert eebench("export", "-o", tmp_path / "all").exit_code == 0
        assert eebench("export", "--best", "-o", tmp_path / "best").exit_code == 0
        every, best = read_bundle(tmp_path / "all"), read_bundle(tmp_path / "best")
        assert sum(len(one.results) for one in best.evaluations) < sum(len(one.results) for one in every.evaluations)
        boards = [
            rank(found.results, "layers", DocumentRows(found.results)) for found in map(standings, ([every], [best]))
        ]
        assert boards[0].ranking == boards[1].ranking

    @pytest.mark.parametrize("number", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 2.0**53 - 1])
    def test_any_number_comes_back_exactly(self, tmp_path: Path, number: float) -> None:
        rows = {"n_positions": np.array([3]), "exit_layers": np.array([3]), "lens_reads": np.array([3])}
        rows |= {"agrees": np.array([0]), "flops": np.array([number]), "flops_full": np.array([1.0])}
        rows["quality"] = np.array([[number, np.nan]])
        shared = evaluation(n_docs=1, coin_end={}, documents_hash="d0c5d0c5")
        hashes = {name: np.array(["f00df00d"]) for name in ("hash", "prompt_hash", "trace_hash")}
        coin = {f"coin_{name}": values for name, values in rows.items()}
        shared = replace(shared, documents={**shared.documents, **hashes, **coin})
        setting = result(
            documents=rows, metrics={}, policy_hash="f00df00d", summaries={"all": summary(compute_saved=number)}
        )
        time = "2026-01-02T03:04:05+00:00"
        write_bundle(Bundle(time, time, provenance(), (bundles.Measured(shared, (setting,)),), {}), tmp_path / "b")
        (read,) = read_bundle(tmp_path / "b").evaluations[0].results
        assert read.documents["flops"].tobytes() == rows["flops"].tobytes()
        assert np.array_equal(read.documents["quality"], rows["quality"], equal_nan=True)
        assert repr(read.summaries["all"].compute_saved) == repr(number)

    def test_it_holds_no_text_of_a_data_set(self, world: World, tmp_path: Path) -> None:
        folder = bundle_of(world, tmp_path)
        content = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
        for task in (CHOICE, ROLLING, WRITTEN):
            (data,) = OWN_TASKS[task].parent.glob("*.jsonl")
            for line in data.read_text().splitlines()[:40]:
                texts = [value for value in json.loads(line).values() if isinstance(value, str) and len(value) > 12]
                assert not [text for text in texts if text in content]

    def test_a_document_and_a_setting_have_a_line_each(self, world: World, tmp_path: Path) -> None:
        folder = bundle_of(world, tmp_path)
        files = Changed(folder).contents["evaluations"][0]
        lines = (folder / files["evaluation"]).read_text().splitlines()
        assert sum('"prompt_hash"' in line for line in lines) == DOCUMENTS
        settings = (folder / files["results"]).read_text().splitlines()
        assert json.loads(settings[0])["setting"] == "entropy:threshold=5.0"


@pytest.fixture
def edited_since(world: World) -> Iterator[World]:
    """The world after its policy's file has been edited."""
    world.policy.write_text(DICE.replace("0.2, 0.5", "0.1, 0.9"))
    yield world
    world.policy.write_text(DICE)


class TestExporting:
    def test_the_source_of_ones_own_policy_is_in_it_and_no_other(self, world: World, tmp_path: Path) -> None:
        (source,) = (bundle_of(world, tmp_path) / "policies").iterdir()
        assert source.read_text() == DICE
        assert source.name.startswith("dice-")

    def test_the_source_is_that_which_was_measured_whatever_became_of_the_file(
        self, edited_since: World, tmp_path: Path
    ) -> None:
        assert eebench("export", "-o", tmp_path / "b").exit_code == 0
        assert list(read_bundle(tmp_path / "b").sources.values()) == [DICE.encode()]

    def test_a_source_that_is_lost_is_asked_for(
        self, edited_since: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "empty"))
        said = refused("export", "-o", tmp_path / "b")
        assert said.startswith("the source of policy dice is not here as it was measured (SHA-256 ")
        assert not (tmp_path / "b").exists()
        given = tmp_path / "elsewhere.py"
        given.write_text(DICE)
        assert eebench("export", "-o", tmp_path / "b", "--source", given).exit_code == 0

    def test_models_tasks_and_policies_can_be_picked(self, world: World, tmp_path: Path) -> None:
        chosen = ("-t", CHOICE, "-p", "dice")
        assert eebench("export", "1", "-o", tmp_path / "b", *chosen).exit_code == 0
        (only,) = read_bundle(tmp_path / "b").evaluations
        assert only.evaluation.task == CHOICE
        assert {result.policy for result in only.results} == {"dice", "full", "oracle", "oracle-stable"}

    def test_a_policy_that_is_not_exported_needs_no_source(self, world: World, tmp_path: Path) -> None:
        assert eebench("export", "-o", tmp_path / "b", "-p", "entropy").exit_code == 0
        assert read_bundle(tmp_path / "b").sources == {}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["99"], "there is no run 99: the newest are 1."),
            (["-m", "nobody"], "the run has no results of model 'nobody': there are "),
            (["-p", "patience"], "the run has no results of policy 'patience': there are entropy, "),
        ],
    )
    def test_what_is_not_there_is_said_in_a_sentence(
        self, world: World, tmp_path: Path, arguments: list[str], said: str
    ) -> None:
        assert refused("export", *arguments, "-o", tmp_path / "b").startswith(said)
        assert not (tmp_path / "b").exists()

    def test_a_run_that_was_not_finished_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EEBENCH_DB", f"sqlite:///{tmp_path / 'other.db'}")
        with Store.open() as store:
            run = store.begin_run(provenance())
            store.add_result(store.add_evaluation(run, evaluation()), result())
            assert refused("export", "1", "-o", tmp_path / "b").startswith("run 1 is running: finish it first")
            assert refused("export", "-o", tmp_path / "b").startswith("there is no finished run with results yet")
            store.finish_run(store.begin_run(provenance()), "finished")
            assert refused("export", "2", "-o", tmp_path / "b") == "run 2 has no results: it was no `eebench run`."

    def test_a_run_of_an_older_eebench_is_to_be_measured_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EEBENCH_DB", f"sqlite:///{tmp_path / 'older.db'}")
        with Store.open() as store:
            run = store.begin_run(provenance())
            store.add_result(store.add_evaluation(run, evaluation()), result())
            store.finish_run(run, "finished")
        assert refused("export", "-o", tmp_path / "b").startswith("run 1 was measured by an older EEBench, which kept")

    @pytest.mark.parametrize("name", ["there", "there.tar.gz", "nowhere/b"])
    def test_nothing_is_overwritten(self, world: World, tmp_path: Path, name: str) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "there.tar.gz").touch()
        before = sorted(tmp_path.rglob("*"))
        assert str(tmp_path / name) in refused("export", "-o", tmp_path / name)
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize("name", ["b", "b.tar.gz"])
    def test_nothing_half_is_written(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        whole, written = Path.write_bytes, []

        def full(path: Path, content: Any) -> int:
            written.append(path)
            if len(written) > 3:
                raise OSError(28, "No space left on device")
            return whole(path, content)

        monkeypatch.setattr(Path, "write_bytes", full)
        said = refused("export", "-o", tmp_path / name)
        assert said == f"{tmp_path / name} cannot be written (No space left on device)."
        assert list(tmp_path.iterdir()) == []


# --- what others send --------------------------------------------------------------------------------------------


def no_contents(folder: Path) -> None:
    (folder / "bundle.json").unlink()


def no_json(folder: Path) -> None:
    (folder / "bundle.json").write_text("{")


def nested(folder: Path) -> None:
    (folder / "bundle.json").write_text("[" * 100_000)


def stray(folder: Path) -> None:
    (folder / "notes.txt").touch()


def lost(folder: Path) -> None:
    next((folder / "evaluations").glob("*.jsonl")).unlink()


def edited(change: Callable[[Changed], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        bundle = Changed(folder)
        change(bundle)
        bundle.write()

    return edit


def newer(bundle: Changed) -> None:
    bundle.contents["format"] = 3


def text_for_a_number(bundle: Changed) -> None:
    bundle.lines[0][0]["documents"]["flops"][0] = "many"


def ragged(bundle: Changed) -> None:
    bundle.shared[0]["documents"][0]["layer_agrees"].pop()


def another_field(bundle: Changed) -> None:
    bundle.lines[0][0]["prompt"] = "the text of a data set"


def control_characters(bundle: Changed) -> None:
    bundle.lines[0][0]["setting"] = "entropy\x1b[2J"


def huge_number(bundle: Changed) -> None:
    bundle.lines[0][0]["documents"]["exit_layers"][0] = 10**30


def of_all(name: str, value: Any) -> Callable[[Path], None]:
    """Something that all settings share, another in every evaluation."""

    def change(bundle: Changed) -> None:
        for shared in bundle.shared:
            shared[name] = value

    return edited(change)


def of_run(name: str, value: Any) -> Callable[[Path], None]:
    """Something of the run's provenance."""
    return edited(lambda bundle: bundle.contents["run"].update({name: value}))


def of_a_setting(params: dict[str, Any]) -> Callable[[Path], None]:
    """The parameters of a setting."""
    return edited(lambda bundle: bundle.lines[0][0].update(params=params))


def look_alike(bundle: Changed) -> None:
    line = bundle.setting("entropy")
    line["policy"] = line["policy"].replace("o", "\u043e")


def listed_twice(bundle: Changed) -> None:
    bundle.contents["evaluations"].append(bundle.contents["evaluations"][0])
    bundle.shared.append(bundle.shared[0])
    bundle.lines.append(bundle.lines[0])


def copied(bundle: Changed) -> None:
    listed_twice(bundle)
    names = {"evaluation": "evaluations/09-again.json", "results": "evaluations/09-again.jsonl"}
    bundle.contents["evaluations"][-1] = names


def two_models_of_one_name(bundle: Changed) -> None:
    bundle.shared[1]["model_id"] = "another/model"


def named_for_nothing(bundle: Changed) -> None:
    bundle.sources["evaluations/setup.exe"] = "MZ"


def unused_source(bundle: Changed) -> None:
    bundle.sources["policies/extra.py"] = DICE + "# another"
    digest = hashlib.sha256(bundle.sources["policies/extra.py"].encode()).hexdigest()
    bundle.contents["policies"].append({"sha256": digest, "file": "policies/extra.py"})


def huge_source(bundle: Changed) -> None:
    bundle.source(DICE + "#" * LARGEST)


def in_contents(old: str, new: str) -> Callable[[Path], None]:
    """The text of `bundle.json`, edited."""

    def edit(folder: Path) -> None:
        path = folder / "bundle.json"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return edit


def nothing_measured(bundle: Changed) -> None:
    bundle.lines[0].clear()


MALFORMED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no contents": (no_contents, "it has no bundle.json"),
    "no JSON": (no_json, "bundle.json: Invalid JSON"),
    "nested without end": (nested, "bundle.json: Invalid JSON"),
    "a stray file": (stray, "it holds notes.txt, which bundle.json does not name"),
    "a lost file": (lost, ".jsonl is missing"),
    "a newer format": (edited(newer), "bundle.json, format: Input should be 2"),
    "text for a number": (edited(text_for_a_number), "full.jsonl, line 1, documents.flops.0: Input should be"),
    "ragged": (edited(ragged), "full.json: layer_agrees should have a number per layer"),
    "another field": (edited(another_field), "line 1, prompt: Extra inputs are not permitted"),
    "control characters": (edited(control_characters), "line 1, setting: String should match pattern"),
    "a huge number": (edited(huge_number), "documents.exit_layers.0: Input should be less than"),
    "nothing measured": (edited(nothing_measured), "has no results"),
    "an evaluation listed twice": (
        edited(listed_twice),
        "bundle.json names evaluations/01-eebench-agreement-full.json",
    ),
    "an evaluation copied": (edited(copied), f"on {CHOICE} more than once"),
    "two models of one name": (edited(two_models_of_one_name), "in one of its evaluations and another/model in"),
    "a file for nothing": (edited(named_for_nothing), "it holds evaluations/setup.exe, which is neither an evaluation"),
    "a source for nothing": (
        edited(unused_source),
        "policies/extra.py, the source of no policy that it has results of",
    ),
    "a source without end": (edited(huge_source), f"and {LARGEST} are the most that a policy's source has"),
    "a name twice": (in_contents('"format": 2', '"format": 1, "format": 2'), "bundle.json: format is there twice"),
    "a name twice deeper": (in_contents('"seed":', '"seed": 5, "seed":'), "bundle.json: seed is there twice"),
    "lines in a name": (
        in_contents('"format"', '"a\\nb\\u001b": 1, "format"'),
        "bundle.json, a\\nb\\x1b: Extra inputs",
    ),
    "a name without end": (in_contents('"format"', f'"{"x" * 9999}": 1, "format"'), "xxx...: Extra inputs are not"),
    "a blank after a name": (of_all("model_id", "tiny "), "full.json, model_id: it begins or ends in a blank"),
    "a blank of another kind": (of_all("model", "\u3000tiny"), "full.json, model: it begins or ends in a blank"),
    "what does not show": (of_all("task_version", "1\u200b"), "task_version: it begins or ends in a blank, or holds"),
    "letters of another alphabet": (edited(look_alike), "line 1, policy: String should match pattern"),
    "fewer than no shots": (of_all("num_fewshot", -1), "num_fewshot: Input should be greater than or equal to 0"),
    "shots without end": (of_all("num_fewshot", 10**6), "num_fewshot: Input should be less than or equal to 1000"),
    "parameters without end": (of_a_setting({"threshold": 10**400}), "line 1, params: it holds a number that is none"),
    "parameters that are none": (of_a_setting({"threshold": float("nan")}), "params: it holds a number that is none"),
    "parameters beyond text": (of_a_setting({"x": ["\0"]}), "params: it holds text that cannot be printed"),
    "a parameter of another alphabet": (of_a_setting({"r\u0430te": 1}), "String should match pattern '^[A-Za-z_]"),
    "a command beyond text": (of_run("command", "\0"), "bundle.json, run.command: String should match pattern"),
    "a seed beyond any": (of_run("seed", 10**30), "bundle.json, run.seed: Input should be less than"),
    "no such day": (of_run("finished", "2026-13-45T10:00:00+00:00"), "run.finished: month must be in 1..12"),
    "no such hour": (of_run("started", "2026-11-28T99:99:00+00:00"), "run.started: hour must be in 0..23"),
    "digits of another script": (
        of_run("finished", "２０２６-11-28T10:00:00+00:00"),
        "should be a time like 2026-01-31T",
    ),
    "a year beyond all": (of_run("finished", "9999-12-31T00:00:00+00:00"), "run.finished: it should be a time like"),
    "a time of no zone": (of_run("finished", "2026-11-28T10:00:00"), "run.finished: it should be a time like"),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("command", ["verify", "add"])
def test_a_malformed_bundle_is_one_sentence(world: World, tmp_path: Path, name: str, command: str) -> None:
    folder = bundle_of(world, tmp_path)
    damage, said = MALFORMED[name]
    damage(folder)
    board = ("--into", tmp_path / "board") if command == "add" else ()
    answer = refused("leaderboard", command, folder, *board)
    assert answer.startswith(f"{folder} is no whole bundle: ")
    assert said in answer
    assert not (tmp_path / "board").exists()


def test_a_name_that_leads_out_of_the_bundle_is_not_followed(world: World, tmp_path: Path) -> None:
    folder = bundle_of(world, tmp_path)
    contents = json.loads((folder / "bundle.json").read_text())
    contents["evaluations"][0]["evaluation"] = "../../etc/passwd"
    (folder / "bundle.json").write_text(json.dumps(contents))
    assert "bundle.json, evaluations.0.evaluation: String should match pattern" in refused(
        "leaderboard", "verify", folder
    )


@pytest.mark.parametrize("what", ["nowhere", "file.zip", "empty"])
def test_what_is_no_bundle_is_one_sentence(tmp_path: Path, what: str) -> None:
    (tmp_path / "file.zip").touch()
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / what) in refused("leaderboard", "verify", tmp_path / what)


# --- hostile archives --------------------------------------------------------------------------------------------


def packed(path: Path, *members: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    "hostile",
    [
        member("../outside"),
        member("evaluations/../../outside"),
        member("/tmp/outside"),
        member("evaluations/a\nb"),
        member("..\\outside"),
        member("a/b/c/d/e/f"),
        member("x" * 300),
        member("bundle.json", tarfile.SYMTYPE, "/etc/passwd"),
        member("bundle.json", tarfile.LNKTYPE, "../../etc/passwd"),
        member("bundle.json", tarfile.FIFOTYPE),
        member("bundle.json", tarfile.CHRTYPE),
    ],
    ids=lambda one: f"{one.name[:20]!r} {one.type!r}",
)
def test_an_archive_writes_plain_files_in_its_own_folder_or_nothing(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    (tmp_path / "in").mkdir()
    path = packed(tmp_path / "in" / "b.tar.gz", hostile, content=b"x")
    said = refused("leaderboard", "verify", path)
    assert said.startswith(f"{path} holds ")
    assert [one.name for one in tmp_path.iterdir()] == ["in"]
    assert not Path("/tmp/outside").exists()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "b.tar.gz", member("bundle.json"), member("bundle.json"))
    assert "two files named 'bundle.json'" in refused("leaderboard", "verify", path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no tar"), gzip.compress(b"\0" * 5000)[:20]],
    ids=["empty", "garbage", "no tar inside", "cut off"],
)
def test_a_damaged_archive_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(content)
    assert str(path) in refused("leaderboard", "verify", path)


def test_an_archive_that_is_cut_anywhere_is_one_sentence(world: World, tmp_path: Path) -> None:
    assert eebench("export", "-o", tmp_path / "b.tar.gz").exit_code == 0
    whole = (tmp_path / "b.tar.gz").read_bytes()
    for length in range(10, len(whole), len(whole) // 7):
        (tmp_path / "b.tar.gz").write_bytes(whole[:length])
        assert str(tmp_path / "b.tar.gz") in refused("leaderboard", "verify", tmp_path / "b.tar.gz")


def test_a_few_kilobytes_that_unpack_to_much_more_are_refused_before_they_do(tmp_path: Path) -> None:
    path = packed(tmp_path / "b.tar.gz", member("bundle.json"), content=b"\0" * (bundles.LIMITS.bytes + 1))
    assert path.stat().st_size < bundles.LIMITS.bytes / 100
    assert "which are the most that is read" in refused("leaderboard", "verify", path)


def test_headers_without_end_are_refused_before_they_are_read(tmp_path: Path) -> None:
    long = tarfile.TarInfo("bundle.json")
    long.pax_headers = {"comment": "x" * (8 << 20)}
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(long, io.BytesIO())
    assert "its headers go on for too long" in refused("leaderboard", "verify", tmp_path / "b.tar.gz")


def test_more_files_than_any_bundle_has_are_refused(tmp_path: Path) -> None:
    members = [member(f"f{number}") for number in range(bundles.LIMITS.files + 1)]
    assert "holds more than 5000 files" in refused("leaderboard", "verify", packed(tmp_path / "b.tar.gz", *members))


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_in_a_folder_is_refused(world: World, tmp_path: Path, link: str) -> None:
    folder = bundle_of(world, tmp_path)
    (folder / "evaluations" / "link").symlink_to(folder if link == "folder" else "/etc/passwd")
    assert "is a link, a device or a folder too deep" in refused("leaderboard", "verify", folder)


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    deep = tmp_path / "b"
    for _ in range(200):
        deep = deep / "a"
    os.makedirs(deep)
    assert "is a link, a device or a folder too deep" in refused("leaderboard", "verify", tmp_path / "b")


# --- as a program ------------------------------------------------------------------------------------------------


def test_exporting_imports_nothing_heavy(world: World, tmp_path: Path) -> None:
    said = heavy_imports(["export", "-o", str(tmp_path / "b")])
    assert said == "[]"


def heavy_imports(arguments: list[str]) -> str:
    """What a command has imported of what takes seconds, or a GPU."""
    script = (
        "import sys\n"
        "from eebench.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "print(sorted({'torch', 'lm_eval', 'transformers', 'datasets', 'alembic'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    return done.stdout.splitlines()[-1]


def test_what_came_to_be_meanwhile_is_kept(tmp_path: Path) -> None:
    def write() -> None:
        with archives.written_whole(tmp_path / "b") as folder:
            (folder / "mine").touch()
            (tmp_path / "b").mkdir()
            (tmp_path / "b" / "theirs").touch()

    with pytest.raises(EEBenchError, match="cannot be written"):
        write()
    assert [path.name for path in tmp_path.rglob("*")] == ["b", "theirs"]
