"""What is on a leaderboard holds: every figure is made again, and whatever was changed is caught and named."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eebench.cache import traces_dir
from eebench.fitting import fit_all
from eebench.plugins.registry import builtin_policies, source_hash
from eebench.published.kept_traces import in_cache
from eebench.published.replaying import Replayable
from eebench.records.results import StoredResult
from eebench.records.store import Store
from eebench.spec import parse_policies
from eebench.submission.bundles import Bundle, Measured, read_bundle, write_bundle
from eebench.submission.checks import Check, Checks, contradicted
from eebench.submission.loading import load
from eebench.submission.policy_audit import policies_defined, reaches_beyond
from eebench.submission.standings import standings
from eebench.submission.submissions import Leaderboard
from eebench.traces.cache import TraceCache
from tests.tampering import BY_TRACE, TAMPERED, cheaper_model, figure, no_source, source_with, swapped_rows
from tests.test_bundles import heavy_imports
from tests.worlds import CHOICE, DICE, DOCUMENTS, ROLLING, WRITTEN, Changed, World, bundle_of, changed, eebench

Line = dict[str, Any]


@pytest.fixture
def elsewhere(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The run, seen from a machine that has none of its traces."""
    monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "no-cache"))
    return world


def refused(folder: Path, *arguments: str | Path) -> list[str]:
    """The reasons for which a bundle is refused, with exit code 1."""
    answer = eebench("leaderboard", "verify", folder, *arguments)
    assert answer.exit_code == 1, answer.output
    assert isinstance(answer.exception, SystemExit)
    return [line.split(None, 1)[1] for line in answer.stdout.splitlines() if line.startswith("  REFUSED")]


def verified(folder: Path, *arguments: str | Path) -> str:
    """What is said of a bundle that holds, with exit code 0."""
    answer = eebench("leaderboard", "verify", folder, *arguments)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


# --- every kind of tampering -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAMPERED)
def test_every_kind_of_tampering_is_caught_and_named(elsewhere: World, tmp_path: Path, name: str) -> None:
    """Where no trace is at hand: from the bundle alone."""
    edit, said = TAMPERED[name]
    reasons = refused(changed(elsewhere, tmp_path, edit))
    assert any(said in reason for reason in reasons), reasons


def test_a_file_that_was_edited_without_its_hash_is_named(elsewhere: World, tmp_path: Path) -> None:
    folder = bundle_of(elsewhere, tmp_path)
    file = next((folder / "evaluations").glob("01-*.json"))
    file.write_text(file.read_text().replace('"seed"', '"seed"') + "\n")
    (reason,) = refused(folder)
    assert reason == f"evaluations/{file.name} is not the file that bundle.json names: its SHA-256 differs."


def test_one_wrong_entry_leaves_the_others_as_they_are(elsewhere: World, tmp_path: Path) -> None:
    answer = eebench("leaderboard", "verify", changed(elsewhere, tmp_path, figure("fidelity", 0.5)))
    first, *_ = answer.stdout.splitlines()
    assert first.endswith("consistent, 1 REFUSED")
    assert answer.stdout.count("REFUSED") == 2


# --- what the trace says -----------------------------------------------------------------------------------------


class TestByTrace:
    def test_every_entry_of_a_run_is_verified_bit_by_bit(self, world: World, tmp_path: Path) -> None:
        folder = bundle_of(world, tmp_path)
        entries = sum(len(one.results) for one in read_bundle(folder).evaluations)
        said = verified(folder, "--run-policies").splitlines()
        assert said[0].endswith(f": {entries} verified")

    def test_without_a_trace_the_same_bundle_is_consistent(self, elsewhere: World, tmp_path: Path) -> None:
        said = verified(bundle_of(elsewhere, tmp_path))
        assert said.splitlines()[0].endswith(" consistent")
        assert "(its trace is not at hand)" in said
        assert "  verified" not in said

    def test_quality_in_another_metric_than_the_tasks_own_is_refused(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EEBENCH_DB", f"sqlite:///{tmp_path / 'other.db'}")
        options = ("--limit", str(DOCUMENTS), "--num-fewshot", "0", "-p", "static", "--metric", "acc_norm")
        assert eebench("run", "-m", world.model, "-t", CHOICE, *options).exit_code == 0
        assert eebench("export", "-o", tmp_path / "bundle").exit_code == 0
        (reason,) = refused(tmp_path / "bundle")
        assert "its quality is measured in acc_norm, and the task's own main metric is acc: run it without" in reason
        monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "no-cache"))
        verified(tmp_path / "bundle")  # its figures follow from its rows in any case

    @pytest.mark.parametrize("name", BY_TRACE)
    def test_what_rows_alone_do_not_show_the_trace_does(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        edit, said = BY_TRACE[name]
        folder = changed(world, tmp_path, edit)
        reasons = refused(folder, "--run-policies")
        assert any(said in reason for reason in reasons), reasons
        monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "no-cache"))
        verified(folder)

    def test_documents_that_are_others_than_the_traces_are_named(self, world: World, tmp_path: Path) -> None:
        def edit(bundle: Changed) -> None:
            for row in bundle.shared[1]["documents"]:
                row["layer_agrees"][1] += 1 if row["layer_agrees"][1] < row["n_positions"] else 0

        reasons = refused(changed(world, tmp_path, edit))
        assert any("layer_agrees of its documents is another than in the trace" in reason for reason in reasons)

    def test_a_built_in_policy_is_replayed_by_the_built_in_code_whatever_source_is_named(
        self, world: World, tmp_path: Path
    ) -> None:
        def edit(bundle: Changed) -> None:
            for setting in bundle.lines[0]:
                setting["policy_hash"] = "f00d" * 16 if setting["policy"] == "entropy" else setting["policy_hash"]

        said = verified(changed(world, tmp_path, edit))
        assert "verified   " + world.model + f" on {CHOICE}: entropy 2" in said
        assert "Note: entropy was measured with another version of its source than the one that is installed." in said

    def test_what_was_learned_on_the_test_documents_is_caught(self, world: World, tmp_path: Path) -> None:
        """Its rows, its figures and its decisions fit: only that it has seen what it is judged on does not."""
        read = read_bundle(bundle_of(world, tmp_path))
        kept = next(one for one in in_cache(TraceCache(traces_dir())) if one.key.task == CHOICE)
        replayable = Replayable(kept)
        full = replayable.scorer.answerer.full_trace
        (gate,) = parse_policies(["gate:threshold=0.3"])[0].settings(5)
        (cheat,) = fit_all([gate], full.select(full.in_part("test")))
        made = replayable.scorer.score(cheat)
        measured = read.evaluations[0]
        honest = next(result for result in measured.results if result.setting == "gate:threshold=0.3")
        assert made.exit_histogram != honest.exit_histogram

        def edit(bundle: Changed) -> None:
            line = bundle.setting("gate:threshold=0.3")
            line["params"] = cheat.params()
            line["exit_histogram"] = made.exit_histogram
            line["selection"] = dict(made.selection)
            for name, values in made.documents.items():
                if name != "quality":
                    line["documents"][name] = values.tolist()
            quality = np.array(line["documents"]["quality"])[:, 0]
            parts = np.array([row["part"] for row in bundle.shared[0]["documents"]])
            for part, figures in line["summaries"].items():
                chosen = np.ones(DOCUMENTS, bool) if part == "all" else parts == part
                replayed = made.summaries[part]
                names = ("mean_exit_layer", "layers_saved", "compute_saved", "lens_reads", "fidelity")
                figures |= {name: getattr(replayed, name) for name in names}
                assert figures["quality"] == pytest.approx(quality[chosen].mean())

        (reason,) = refused(changed(world, tmp_path / "changed", edit))
        assert "gate:threshold=0.3: " in reason
        assert "what it has learned is not what the calibration documents teach" in reason or "answers alike" in reason

    def test_a_trace_in_the_leaderboards_own_folder_serves_as_well(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        board = tmp_path / "board"
        ids = [trace.digest for trace in TraceCache(traces_dir()).traces()]
        board.mkdir()
        (board / "bundles").mkdir()
        assert eebench("traces", "export", *ids, "-o", board / "traces").exit_code == 0
        monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "no-cache"))
        said = verified(bundle_of(world, tmp_path), "--against", board, "--run-policies")
        assert said.splitlines()[0].endswith(" verified")
        assert "consistent" not in said

    def test_a_trace_of_another_machine_does_not_refuse_what_rounding_explains(
        self, world: World, tmp_path: Path
    ) -> None:
        def edit(bundle: Changed) -> None:
            for row in bundle.shared[0]["documents"]:
                row["trace_hash"] = "f00d" * 8
            swapped_rows(bundle)

        said = verified(changed(world, tmp_path, edit))
        assert "(the trace at hand was made on another machine)" in said

    def test_a_trace_of_another_machine_refuses_what_rounding_does_not_explain(
        self, world: World, tmp_path: Path
    ) -> None:
        def edit(bundle: Changed) -> None:
            for row in bundle.shared[0]["documents"]:
                row["trace_hash"] = "f00d" * 8
            dice, other = bundle.setting("dice:rate=0.2"), bundle.setting("dice:rate=0.5")
            names = ("metrics", "summaries", "exit_histogram", "selection", "documents")
            dice.update({name: other[name] for name in names})

        (reason, *_) = refused(changed(world, tmp_path, edit), "--run-policies")
        assert "on the trace at hand: that it was made on another machine does not explain so much" in reason

    def test_a_damaged_trace_at_hand_proves_nothing_and_refuses_nothing(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = Path(shutil.copytree(world.cache, tmp_path / "cache"))
        monkeypatch.setenv("EEBENCH_CACHE", str(cache))
        for shard in cache.glob("traces/*/*.parquet"):
            shard.write_bytes(shard.read_bytes()[:-9])
        said = verified(bundle_of(world, tmp_path))
        assert "is damaged or no trace of EEBench's" in said
        assert "verified   " not in said


# --- submitted code ----------------------------------------------------------------------------------------------


class TestSubmittedCode:
    @pytest.fixture
    def marked(self, world: World, tmp_path: Path) -> tuple[Path, Path]:
        """A bundle whose policy leaves a mark when it is imported, and the mark."""
        mark = tmp_path / "was-run"
        return changed(world, tmp_path, lambda b: b.source(f"{DICE}\n\nopen({str(mark)!r}, 'w').close()\n")), mark

    @pytest.mark.parametrize("command", ["verify", "add"])
    def test_it_is_not_run(self, marked: tuple[Path, Path], tmp_path: Path, command: str) -> None:
        folder, mark = marked
        board = ("--into", tmp_path / "board") if command == "add" else ()
        answer = eebench("leaderboard", command, folder, *board)
        assert answer.exit_code == 0, answer.output
        assert "dice 2 (its code was not run: --run-policies runs it)" in answer.stdout
        assert not mark.exists()
        assert eebench("leaderboard", "list", tmp_path / "board").exit_code == (0 if command == "add" else 2)
        assert not mark.exists()

    def test_it_is_run_on_request_and_then_verified(self, marked: tuple[Path, Path]) -> None:
        folder, mark = marked
        assert "dice 2" in verified(folder, "--run-policies")
        assert mark.exists()

    def test_code_that_decides_otherwise_than_its_rows_say_is_caught(self, world: World, tmp_path: Path) -> None:
        other = source_with(("layer.uniform(layer.index)", "layer.uniform(layer.index + 1)"))
        reasons = refused(changed(world, tmp_path, other), "--run-policies")
        assert any("is another than replayed from the trace" in reason for reason in reasons)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (("return", "return 1 / 0 or"), "it could not be replayed: policy dice:rate=0.2 raised ZeroDivisionError"),
            (('"""Toss', '1 / 0\n"""Toss'), "could not be read at line 1: ZeroDivisionError: division by zero."),
        ],
    )
    def test_code_that_raises_is_one_sentence(
        self, world: World, tmp_path: Path, change: tuple[str, str], said: str
    ) -> None:
        answer = eebench("leaderboard", "verify", changed(world, tmp_path, source_with(change)), "--run-policies")
        assert answer.exit_code in (1, 2)
        assert isinstance(answer.exception, SystemExit)
        assert said in answer.output

    def test_the_help_says_so(self) -> None:
        for command in (["leaderboard"], ["leaderboard", "add"], ["leaderboard", "verify"]):
            said = " ".join(eebench(*command, "--help").stdout.split())
            assert "--run-policies" in said
            assert "run" in said


class TestTheAudit:
    @pytest.mark.parametrize("policy", builtin_policies().values(), ids=lambda policy: policy.name)
    def test_built_in_policies_are_what_their_source_says(self, policy: Any) -> None:
        import inspect

        source = Path(inspect.getfile(policy)).read_bytes()
        assert policies_defined(source)[policy.name].kind == policy.kind
        assert (next(reaches_beyond(source), "") == "") == (policy.kind != "bound")

    @pytest.mark.parametrize(
        "reach",
        [
            "import gc",
            "import sys as s",
            "from inspect import currentframe",
            "from eebench.replaying import replay",
            "import eebench.scoring",
            "import eebench.policy as p\nX = p.Bound",
            "from .oracle import Oracle",
            "eval('1')",
            "__import__('gc')",
            "x = LayerView.__dict__",
            "def stops(self, layer): return layer._keys",
        ],
    )
    def test_ways_to_the_layers_to_come_are_named(self, reach: str) -> None:
        assert next(reaches_beyond(f"from eebench.policy import LayerView\n{reach}\n".encode()))

    def test_a_name_and_a_kind_are_those_that_python_would_see(self) -> None:
        source = (
            "class OneTwo(ExitPolicy): pass\n"
            "class Two(OneTwo):\n    name: ClassVar[str] = 'second'\n    kind = 'control'\n"
            "class Three(Two): pass\n"
            "class Four(policy.Bound): pass\n"
            "class Loop(Loop): pass\n"
        )
        found = {name: (one.class_name, one.kind) for name, one in policies_defined(source.encode()).items()}
        assert found == {
            "one-two": ("OneTwo", "policy"),
            "second": ("Two", "control"),
            "three": ("Three", "control"),
            "four": ("Four", "bound"),
            "loop": ("Loop", "policy"),
        }


# --- a leaderboard -----------------------------------------------------------------------------------------------


@pytest.fixture
def board(world: World, tmp_path: Path) -> Path:
    """A leaderboard that has accepted the run."""
    folder = tmp_path / "board"
    assert eebench("leaderboard", "add", bundle_of(world, tmp_path / "accepted"), "--into", folder).exit_code == 0
    return folder


def rejected(bundle: Path, board: Path) -> list[str]:
    """The reasons for which a bundle is not added, with exit code 1 and the board left as it was."""
    before = sorted(board.rglob("*"))
    answer = eebench("leaderboard", "add", bundle, "--into", board)
    assert answer.exit_code == 1, answer.output
    assert sorted(board.rglob("*")) == before
    assert answer.stderr == f"{bundle} was not added.\n"
    return [line.split(None, 1)[1] for line in answer.stdout.splitlines() if line.startswith("  REFUSED")]


def board_as_printed(board: Path) -> str:
    return " ".join(eebench("leaderboard", "rank", board).stdout.split())


def renamed(bundle: Changed) -> None:
    """Another bundle: the seed of its run differs, and the policies that are there already are not in it."""
    bundle.contents["run"]["seed"] += 1
    for lines in bundle.lines:
        lines[:] = [line for line in lines if line["kind"] != "policy"]
    no_source(bundle)


class TestABoard:
    def test_it_keeps_a_bundle_as_it_is(self, world: World, board: Path, tmp_path: Path) -> None:
        (kept,) = (board / "bundles").iterdir()
        sent = tmp_path / "accepted" / "bundle"
        files = sorted(path.relative_to(sent) for path in sent.rglob("*"))
        assert sorted(path.relative_to(kept) for path in kept.rglob("*")) == files
        assert all((kept / f).read_bytes() == (sent / f).read_bytes() for f in files if (sent / f).is_file())
        assert kept.name == read_bundle(sent).name

    def test_an_archive_is_kept_as_its_files(self, world: World, tmp_path: Path) -> None:
        assert eebench("export", "-o", tmp_path / "b.tar.gz").exit_code == 0
        (tmp_path / "board").mkdir()
        assert eebench("leaderboard", "add", tmp_path / "b.tar.gz", "--into", tmp_path / "board").exit_code == 0
        (kept,) = (tmp_path / "board" / "bundles").iterdir()
        assert (kept / "bundle.json").is_file()

    def test_it_lists_what_was_measured(self, board: Path) -> None:
        said = eebench("leaderboard", "list", board).stdout
        assert [row.split()[2] for row in said.splitlines()[1:]] == [CHOICE, ROLLING, WRITTEN]
        assert "entropy, gate, dice" in said

    def test_all_of_it_can_be_verified_again(self, board: Path) -> None:
        assert " verified, " in verified(board)

    def test_what_is_damaged_later_is_found_and_the_rest_is_still_checked(
        self, world: World, board: Path, tmp_path: Path
    ) -> None:
        bundle = changed(world, tmp_path, renamed)
        assert eebench("leaderboard", "add", bundle, "--into", board).exit_code == 0
        first, _second = sorted((board / "bundles").iterdir())
        next((first / "evaluations").iterdir()).unlink()
        answer = eebench("leaderboard", "verify", board)
        assert answer.exit_code == 1
        assert f"{first.name}: REFUSED" in answer.stdout
        assert "is missing" in answer.stdout
        assert " verified" in answer.stdout

    def test_the_same_bundle_is_not_added_twice(self, world: World, board: Path, tmp_path: Path) -> None:
        answer = eebench("leaderboard", "add", tmp_path / "accepted" / "bundle", "--into", board)
        assert answer.exit_code == 1
        assert "is on the leaderboard already, as " in answer.stderr

    def test_the_same_entries_in_another_bundle_are_refused(self, world: World, board: Path, tmp_path: Path) -> None:
        def edit(bundle: Changed) -> None:
            bundle.contents["run"]["seed"] += 1

        reasons = rejected(changed(world, tmp_path, edit), board)
        assert len(reasons) == 3  # a sentence for each evaluation
        (accepted,) = (board / "bundles").iterdir()
        assert all(f"it is on the leaderboard already, in {accepted.name}; export the others" in one for one in reasons)
        assert "entropy:threshold=5.0" in reasons[0]

    def test_controls_and_bounds_may_come_with_every_bundle(self, world: World, board: Path, tmp_path: Path) -> None:
        bundle = changed(world, tmp_path, renamed)
        assert eebench("leaderboard", "add", bundle, "--into", board).exit_code == 0
        assert len(list((board / "bundles").iterdir())) == 2

    def test_other_data_under_the_same_name_and_version_is_refused(
        self, world: World, board: Path, tmp_path: Path
    ) -> None:
        def edit(bundle: Changed) -> None:
            renamed(bundle)
            row = bundle.shared[0]["documents"][5]
            row["hash"] = next(f"{number:064x}" for number in range(99) if _part(f"{number:064x}") == row["part"])

        reasons = rejected(changed(world, tmp_path, edit), board)
        assert any("it was measured on other data: document 5 of eebench_agreement (version 1" in r for r in reasons)

    def test_another_chance_level_than_accepted_is_refused(self, world: World, board: Path, tmp_path: Path) -> None:
        def edit(bundle: Changed) -> None:
            renamed(bundle)
            shared = bundle.shared[2]
            shared["chance"], shared["informative"] = -1.0, True
            every = [shared["coin_end"], *(line["summaries"] for line in bundle.lines[2])]
            for figures in (one for summaries in every for one in summaries.values()):
                assert figures["quality"] == 0
                figures["retention"] = 1.0

        reasons = refused(changed(world, tmp_path, edit), "--against", board)
        assert any("guessing is said to reach -1, and in " in reason for reason in reasons)

    def test_another_cost_model_of_the_same_model_is_refused(self, world: World, board: Path, tmp_path: Path) -> None:
        def edit(bundle: Changed) -> None:
            renamed(bundle)
            cheaper_model(bundle)

        reasons = refused(changed(world, tmp_path, edit), "--against", board)
        assert any("its cost is another than in " in reason for reason in reasons)

    def test_it_is_ranked_as_a_database_is(self, world: World, board: Path) -> None:
        said, report = (eebench(*command).stdout for command in (["leaderboard", "rank", board], ["report"]))
        assert said.startswith(report)
        assert said.removeprefix(report).startswith("Verified by the traces they were made from: entropy")
        assert "Verified in part" not in said

    def test_what_was_verified_when_it_was_added_is_kept_and_told_apart(self, elsewhere: World, tmp_path: Path) -> None:
        board = tmp_path / "board"
        added = eebench("leaderboard", "add", bundle_of(elsewhere, tmp_path / "accepted"), "--into", board)
        assert added.exit_code == 0
        (check,) = (json.loads(path.read_text()) for path in (board / "checks").iterdir())
        assert check["verified"] == {}
        assert sum(check["consistent"][f"{elsewhere.model} on {CHOICE}"].values()) == 15
        assert "Not verified by a trace, but consistent with their rows: entropy" in board_as_printed(board)
        for path in (board / "checks").iterdir():
            path.write_text("{}")
        answer = eebench("leaderboard", "rank", board)
        assert (answer.exit_code, answer.stderr.count("\n")) == (2, 1)
        assert "leaderboard verify --keep" in answer.stderr
        assert eebench("leaderboard", "verify", board, "--keep").exit_code == 0
        assert "Not verified by a trace" in board_as_printed(board)

    def test_it_can_be_loaded_into_a_database_and_is_the_same_there(
        self, world: World, board: Path, tmp_path: Path
    ) -> None:
        database = tmp_path / "loaded.db"
        assert eebench("leaderboard", "load", board, "--db", database).exit_code == 0
        for command in (["report"], ["report", "--results"]):
            assert eebench(*command, "--db", database).stdout == eebench(*command).stdout
        (bundle,) = map(read_bundle, (board / "bundles").iterdir())
        with Store.open(str(database)) as store:
            (run,) = store.runs()
            assert (run.started, run.finished, run.provenance) == (bundle.started, bundle.finished, bundle.provenance)

    def test_its_site_says_what_is_verified(self, world: World, board: Path, tmp_path: Path) -> None:
        pytest.importorskip("altair")
        assert eebench("site", "build", tmp_path / "site", "--leaderboard", board).exit_code == 0
        index = (tmp_path / "site" / "index.html").read_text()
        assert ">checked<" in index
        assert ">verified<" in index
        (run,) = (tmp_path / "site" / "run").glob("*.html")
        (bundle,) = (board / "bundles").iterdir()
        assert bundle.name in run.read_text()

    @pytest.mark.parametrize(("name", "value"), [("seed", 10**30), ("finished", "2026-13-45T99:99:00+00:00")])
    def test_nothing_half_is_loaded(self, world: World, board: Path, tmp_path: Path, name: str, value: Any) -> None:
        def edit(bundle: Changed) -> None:
            renamed(bundle)
            bundle.contents["run"][name] = value

        broken = changed(world, tmp_path, edit)
        broken.rename(board / "bundles" / "2027-01-01-broken")  # put there by hand
        said = refused_at("leaderboard", "load", board, "--db", tmp_path / "loaded.db")
        assert f"bundle.json, run.{name}: " in said
        assert not (tmp_path / "loaded.db").exists()

    def test_an_empty_one_has_nothing_to_load(self, tmp_path: Path) -> None:
        (tmp_path / "board" / "bundles").mkdir(parents=True)
        answer = eebench("leaderboard", "load", tmp_path / "board", "--db", tmp_path / "some.db")
        assert (answer.exit_code, answer.stderr.count("\n")) == (2, 1)
        assert not (tmp_path / "some.db").exists()

    @pytest.mark.parametrize("policy", ["entropy", "gate"])
    def test_a_built_in_policy_is_the_same_whatever_source_is_named(
        self, world: World, board: Path, tmp_path: Path, policy: str
    ) -> None:
        def edit(bundle: Changed) -> None:
            bundle.contents["run"]["seed"] += 1
            for line in (line for lines in bundle.lines for line in lines if line["builtin"]):
                line["policy_hash"] = "0" * 8

        reasons = rejected(changed(world, tmp_path, edit), board)
        assert any(f"{policy}:" in reason and "it is on the leaderboard already" in reason for reason in reasons)

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("model_id", "another/model", " is another/model here and "),
            ("num_fewshot", 5, "its num_fewshot is another than in "),
            ("chat_template", True, "its chat_template is another than in "),
        ],
    )
    def test_a_model_that_is_accepted_is_not_another_under_its_name(
        self, world: World, board: Path, tmp_path: Path, name: str, value: Any, said: str
    ) -> None:
        def edit(bundle: Changed) -> None:
            renamed(bundle)
            for one in bundle.shared:
                one[name] = value

        reasons = rejected(changed(world, tmp_path, edit), board)
        assert any(said in reason for reason in reasons), reasons

    def test_a_model_costs_the_same_on_other_documents(self, world: World, board: Path, tmp_path: Path) -> None:
        def edit(bundle: Changed) -> None:
            renamed(bundle)
            cheaper_model(bundle)
            for one in bundle.shared:
                one["documents_hash"] = "f00d" * 16

        reasons = refused(changed(world, tmp_path, edit), "--against", board)
        assert any("its cost is another than in " in reason for reason in reasons)

    def test_a_run_that_has_yet_to_end_is_refused(
        self, world: World, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def later(days: int) -> Any:
            def edit(bundle: Changed) -> None:
                renamed(bundle)
                bundle.contents["run"]["finished"] = f"{datetime.now(UTC) + timedelta(days=days):%FT%T+00:00}"

            return edit

        (reason,) = rejected(changed(world, tmp_path / "far", later(3)), board)
        assert reason.startswith("its run ended at 2")
        soon = changed(world, tmp_path / "soon", later(0))  # clocks differ
        assert eebench("leaderboard", "add", soon, "--into", board).exit_code == 0
        monkeypatch.setattr("eebench.submission.submissions.CLOCKS_DIFFER", timedelta(days=-9))
        assert verified(board).count("it is ranked as the oldest") == 2  # what is accepted stays so

    def test_bundles_are_in_the_order_in_which_their_runs_ended(
        self, world: World, board: Path, tmp_path: Path
    ) -> None:
        def edit(bundle: Changed) -> None:
            renamed(bundle)
            bundle.contents["run"]["finished"] = f"{datetime.now(UTC) + timedelta(hours=offset):%FT%T+00:00}"

        for offset in (5, -30, 3):
            folder = changed(world, tmp_path / str(offset), edit)
            assert eebench("leaderboard", "add", folder, "--into", board).exit_code == 0
        ended = [bundle.ended for bundle in Leaderboard(board).bundles()]
        assert len(ended) == 4
        assert ended == sorted(ended)

    def test_policies_of_one_name_and_another_source_stand_apart(
        self, world: World, board: Path, tmp_path: Path
    ) -> None:
        def edit(bundle: Changed) -> None:
            bundle.source(f"{DICE}# another version of it\n")
            for lines in bundle.lines:
                lines[:] = [line for line in lines if line["kind"] != "policy" or line["policy"] == "dice"]

        assert eebench("leaderboard", "add", changed(world, tmp_path, edit), "--into", board).exit_code == 0
        found = standings(map(read_bundle, sorted((board / "bundles").iterdir())))
        names = {stored.result.policy for stored in found.results if stored.result.policy.startswith("dice")}
        assert names == {f"dice ({bundle.name})" for bundle in (board / "bundles").iterdir()}
        assert [stored.result_id for stored in found.results] == list(range(len(found.results)))

    def test_metrics_of_one_task_are_not_mixed(self, world: World, board: Path) -> None:
        (bundle,) = map(read_bundle, (board / "bundles").iterdir())
        first = bundle.evaluations[0]
        newer = replace(bundle, evaluations=(replace(first, evaluation=replace(first.evaluation, metric="acc_norm")),))
        found = standings([bundle, newer], tasks=[CHOICE])
        assert {stored.evaluation.metric for stored in found.results} == {"acc_norm"}
        assert found.notes == [
            f"Left out: {len(first.results)} older results of {world.model} on {CHOICE}, measured with another main "
            f"metric."
        ]

    def test_what_it_has_no_results_of_is_one_sentence(self, board: Path) -> None:
        answer = eebench("leaderboard", "rank", board, "-m", "nobody")
        assert (answer.exit_code, answer.stderr.count("\n")) == (2, 1)
        assert "the leaderboard has no results of these models" in answer.stderr

    def test_nothing_half_is_added(self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_source: Path, place: Path) -> None:
            place.mkdir()
            (place / "bundle.json").touch()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("eebench.submission.submissions.shutil.copytree", full)
        (tmp_path / "board").mkdir()
        bundle = world.cache.parent / "bundle"
        answer = eebench("leaderboard", "add", bundle, "--into", tmp_path / "board")
        assert answer.exit_code == 2
        assert "cannot be written (No space left on device)" in answer.stderr
        assert not [path for path in (tmp_path / "board").rglob("*") if path.is_file()]

    def test_the_folder_in_the_current_one_is_meant_unless_another_is_named(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        bundle = bundle_of(world, tmp_path)
        for command in (["add", bundle], ["list"], ["verify"]):
            answer = eebench("leaderboard", *command)
            assert answer.exit_code == 2
            assert "no folder `leaderboard` here that is one" in answer.stderr
        (tmp_path / "leaderboard" / "bundles").mkdir(parents=True)
        assert "No bundles yet in leaderboard" in verified(Path("leaderboard"))
        assert eebench("leaderboard", "add", bundle).exit_code == 0
        assert CHOICE in eebench("leaderboard", "list").stdout
        assert "is on the leaderboard already" not in verified(bundle)

    def test_a_folder_that_holds_other_things_is_no_leaderboard(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        answer = eebench("leaderboard", "add", world.cache.parent / "bundle", "--into", tmp_path)
        assert answer.exit_code == 2
        assert "is not a leaderboard: it has no folder `bundles`" in answer.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def refused_at(*arguments: str | Path) -> str:
    """The one sentence of a command that does not go on, with exit code 2."""
    answer = eebench(*arguments)
    assert (answer.exit_code, answer.stderr.count("\n")) == (2, 1), answer.output
    return answer.stderr


def the_check(board: Path) -> Path:
    """The file of what was found of the only bundle."""
    (path,) = (board / "checks").iterdir()
    return path


def edit_check(board: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    check = json.loads(the_check(board).read_text())
    edit(check)
    the_check(board).write_text(json.dumps(check))


def edited_in_place(place: Path) -> None:
    """A row is another, and the bundle's hashes are left as they were."""
    rows = next((place / "evaluations").glob("01-*.jsonl"))
    rows.write_text(rows.read_text().replace('"fidelity":', '"fidelity": ', 1))


def hashed_anew(place: Path) -> None:
    """The same, with hashes that fit: only the folder's name tells of what was accepted."""
    bundle = Changed(place)
    bundle.setting("entropy")["summaries"]["test"]["fidelity"] = 0.999
    bundle.write()


class TestWhatWasAccepted:
    """Nothing on a leaderboard is believed that is not what was accepted."""

    @pytest.mark.parametrize("change", [edited_in_place, hashed_anew])
    def test_no_command_shows_what_was_edited_since(
        self, world: World, board: Path, tmp_path: Path, change: Callable[[Path], None]
    ) -> None:
        (place,) = (board / "bundles").iterdir()
        change(place)
        for command in (
            ["leaderboard", "rank", board],
            ["leaderboard", "list", board],
            ["leaderboard", "load", board, "--db", tmp_path / "loaded.db"],
            ["leaderboard", "verify", tmp_path / "accepted" / "bundle", "--against", board],
        ):
            assert f"{place} is not what was accepted: " in refused_at(*command)
        assert not (tmp_path / "loaded.db").exists()
        assert any("bundle.json" in reason for reason in refused(board))

    def test_nor_does_the_site(self, world: World, board: Path, tmp_path: Path) -> None:
        pytest.importorskip("altair")
        edited_in_place(next((board / "bundles").iterdir()))
        assert "is not what was accepted" in refused_at("site", "build", tmp_path / "site", "--leaderboard", board)

    def test_what_is_said_to_be_verified_must_be_there(self, world: World, board: Path) -> None:
        def edit(check: dict[str, Any]) -> None:
            check["verified"][f"{world.model} on {CHOICE}"]["dice"] = 7

        edit_check(board, edit)
        for command in ("rank", "list"):
            said = refused_at("leaderboard", command, board)
            assert f"it counts 9 of dice on {world.model} on {CHOICE}, and the bundle has 2" in said
        (reason,) = refused(board)
        assert "what was found of it when it was accepted cannot be: it counts 9 of dice" in reason
        assert eebench("leaderboard", "verify", board, "--keep").exit_code == 0
        verified(board)
        assert eebench("leaderboard", "rank", board).exit_code == 0

    def test_what_is_said_to_be_verified_and_is_not_is_told(self, world: World, board: Path) -> None:
        def edit(check: dict[str, Any]) -> None:
            where = f"{world.model} on {CHOICE}"
            check["verified"][where]["dice"] = check["consistent"][where].pop("dice")

        assert "cannot be confirmed" not in verified(board)
        edit_check(board, edit)
        assert "Note: 2 entries that were verified when it was accepted cannot be confirmed with" in verified(board)

    def test_what_no_trace_at_hand_confirms_any_more_is_kept_and_told(
        self, world: World, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "no-cache"))
        check = the_check(board).read_text()
        total = sum(sum(counts.values()) for counts in json.loads(check)["verified"].values())
        assert f"Note: {total} entries that were verified when it was accepted cannot be confirmed" in verified(board)
        assert the_check(board).read_text() == check
        assert "Verified by the traces they were made from: entropy" in board_as_printed(board)

    def test_what_no_trace_can_verify_is_not_said_to_be_verified(self, world: World, board: Path) -> None:
        (bundle,) = Leaderboard(board).bundles()
        measured = bundle.evaluations[2]
        copied = replace(measured, evaluation=replace(measured.evaluation, kv_mode="copy"))
        counts = dict(Counter(result.policy for result in copied.results))
        one = replace(bundle, evaluations=(copied,))
        said = list(contradicted(Check(eebench="", verified={str(copied): counts}), one))
        assert len(said) == 1
        assert "no trace verifies KV mode copy" in said[0]
        assert list(contradicted(Check(eebench="", consistent={str(copied): counts}), one)) == []

    def test_a_policy_that_stands_apart_is_verified_in_whichever_bundle_it_is(self, world: World, board: Path) -> None:
        (bundle,) = Leaderboard(board).bundles()
        measured = bundle.evaluations[0]
        apart = replace(measured.results[0], policy="dice (the-first-bundle)")
        check = Check(eebench="", verified={str(measured): {"dice": 1}})
        checks = Checks({"another-bundle": check}, {7: "another-bundle"})
        assert checks.proof([StoredResult(7, 0, 0, "", measured.evaluation, apart)]) == "verified"

    def test_what_came_without_a_check_is_checked_beside_what_has_one_whatever_date_it_bears(
        self, world: World, board: Path, tmp_path: Path
    ) -> None:
        def edit(bundle: Changed) -> None:
            bundle.contents["run"].update(started="2001-01-01T00:00:00+00:00", finished="2001-01-01T00:00:00+00:00")

        earlier = changed(world, tmp_path, edit)
        place = board / "bundles" / read_bundle(earlier).name
        shutil.copytree(earlier, place)
        answer = eebench("leaderboard", "verify", board)
        (accepted,) = {path.stem for path in (board / "checks").iterdir()}
        assert f"{accepted}: REFUSED" not in answer.stdout
        assert f"it is on the leaderboard already, in {accepted}" in answer.stdout

    def test_a_check_that_was_sent_along_counts_for_nothing(self, elsewhere: World, tmp_path: Path) -> None:
        board, bundle = tmp_path / "board", bundle_of(elsewhere, tmp_path)
        (bundle / "checks").mkdir()
        (bundle / "checks" / "mine.json").write_text("{}")
        assert "it holds checks/mine.json" in refused_at("leaderboard", "add", bundle, "--into", board)
        shutil.rmtree(bundle / "checks")
        (board / "bundles").mkdir(parents=True)
        (board / "checks").mkdir()
        claim = board / "checks" / f"{read_bundle(bundle).name}.json"
        claim.write_text(json.dumps({"eebench": "1", "verified": {f"{elsewhere.model} on {CHOICE}": {"entropy": 2}}}))
        assert eebench("leaderboard", "add", bundle, "--into", board).exit_code == 0
        assert json.loads(claim.read_text())["verified"] == {}


class TestVerifiedBeforeNewer:
    """What a trace has proved is not put aside for what somebody says later."""

    @pytest.fixture
    def accepted(self, board: Path) -> Bundle:
        (bundle,) = Leaderboard(board).bundles()
        return replace(bundle, evaluations=bundle.evaluations[:1])

    @staticmethod
    def said(bundle: Bundle, **changes: Any) -> Bundle:
        """The same of a run that was later, changed, and not verified."""
        (measured,) = bundle.evaluations
        results = tuple(replace(one, exit_histogram=[0, 0, 0, 0, 99]) for one in measured.results)
        other = Measured(replace(measured.evaluation, **changes), results)
        return replace(bundle, evaluations=(other,), verified={}, digest="f" * 64)

    @staticmethod
    def forged(results: Iterable[StoredResult]) -> set[str]:
        return {one.result.policy for one in results if one.result.exit_histogram == [0, 0, 0, 0, 99]}

    @pytest.mark.parametrize(
        "changes", [{}, {"revision": "another"}, {"documents_hash": "0" * 64}, {"num_fewshot": 9}, {"dtype": "float16"}]
    )
    def test_it_stays_on_the_board(self, accepted: Bundle, changes: dict[str, Any], tmp_path: Path) -> None:
        bundles = [accepted, self.said(accepted, **changes)]
        found = standings(bundles)
        assert self.forged(found.results) == set()
        assert len(found.results) == len(accepted.evaluations[0].results)
        entries = len(accepted.evaluations[0].results)
        assert [f"{entries} unverified results" in note for note in found.notes] == [True] * bool(changes)
        with Store.open(str(tmp_path / "loaded.db")) as store:
            load(bundles, store)
            assert self.forged(store.newest().results) == set()

    def test_what_is_verified_and_newer_is_put_before_it(self, accepted: Bundle) -> None:
        newer = replace(self.said(accepted, revision="newer"), verified=accepted.verified)
        found = standings([accepted, newer])
        assert {one.evaluation.revision for one in found.results} == {"newer"}
        assert "older results" in found.notes[0]

    def test_of_two_that_are_not_verified_the_newer_is_shown(self, accepted: Bundle) -> None:
        first = replace(accepted, verified={})
        found = standings([first, self.said(first, revision="newer")])
        assert {one.evaluation.revision for one in found.results} == {"newer"}
        assert "older results" in found.notes[0]


def _part(digest: str) -> str:
    from eebench.traces.trace import Document

    return Document(0, digest).part


def test_executed_results_are_consistent_under_every_kv_mode(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EEBENCH_DB", f"sqlite:///{tmp_path / 'executed.db'}")
    monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "cache"))  # what the run traces is no part of the world's
    modes = ("--execute", "--kv-mode", "full,copy,propagate,truncate,verify")
    options = ("-t", WRITTEN, "--limit", "3", "--max-gen-toks", "6", "--num-fewshot", "0")
    assert eebench("run", "-m", world.model, "-p", "static,entropy:threshold=5.0", *options, *modes).exit_code == 0
    assert eebench("export", "-o", tmp_path / "executed").exit_code == 0
    said = verified(tmp_path / "executed")
    assert said.count("is executed, and a trace tells of full alone") == 4


def test_a_policy_that_learns_is_verified_with_what_it_has_learned(world: World, tmp_path: Path) -> None:
    assert f"{CHOICE}: entropy 2, gate 2" in verified(bundle_of(world, tmp_path))


def test_the_source_hashes_are_those_of_the_installed_policies(world: World, tmp_path: Path) -> None:
    for measured in read_bundle(bundle_of(world, tmp_path)).evaluations:
        for result in measured.results:
            if result.builtin:
                assert result.policy_hash == source_hash(builtin_policies()[result.policy])[1]


def test_a_bundle_written_by_hand_from_records_is_checked_alike(elsewhere: World, tmp_path: Path) -> None:
    """The checks are of records, wherever they come from."""
    read = read_bundle(elsewhere.cache.parent / "bundle")
    write_bundle(replace(read, evaluations=read.evaluations[:1]), tmp_path / "one")
    assert " consistent" in verified(tmp_path / "one")


@pytest.mark.parametrize("command", ["verify", "list", "add", "rank"])
def test_nothing_heavy_is_imported(world: World, tmp_path: Path, board: Path, command: str) -> None:
    arguments = {
        "verify": ["leaderboard", "verify", str(board)],
        "list": ["leaderboard", "list", str(board)],
        "rank": ["leaderboard", "rank", str(board)],
        "add": ["leaderboard", "add", str(tmp_path / "accepted" / "bundle"), "--into", str(tmp_path / "another")],
    }[command]
    assert os.environ["EEBENCH_CACHE"] == str(world.cache)
    assert heavy_imports(arguments) == "[]"
