"""A published trace is what was traced, bit by bit, and all it takes to rank a policy: no weights, no GPU, no task."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from eebench.cache import traces_dir
from eebench.errors import EEBenchError
from eebench.plugins.registry import find_policy
from eebench.published import standing
from eebench.published.kept_traces import DESCRIPTION, KeptTrace, check_hashes, in_cache, published_in
from eebench.published.published_traces import export_traces
from eebench.published.replaying import DocumentRows, LeavesTree, Replayable, replay_published
from eebench.published.trace_checks import wrong_with
from eebench.ranking.rank import rank
from eebench.records.store import Store
from eebench.traces.cache import TraceCache, _checksum
from eebench.traces.trace import Document, Request, Trace
from eebench.traces.trees import Tree
from tests.test_bundles import heavy_imports, member, packed, refused
from tests.worlds import CHOICE, DICE, DOCUMENTS, ROLLING, WRITTEN, World, a_world, eebench

TASKS = (CHOICE, WRITTEN, ROLLING)
"""In the order of the cache."""


@pytest.fixture
def published(world: World, tmp_path: Path) -> Path:
    """All traces of the run, published."""
    ids = [trace.digest for trace in TraceCache(traces_dir()).traces()]
    assert eebench("traces", "export", *ids, "-o", tmp_path / "traces").exit_code == 0
    return tmp_path / "traces"


@pytest.fixture
def elsewhere(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published traces, seen from a machine that has none of its own; its trace cache."""
    monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere" / "traces"


def of(published: Path, task: str) -> Path:
    """The folder of the trace of a task."""
    return next(kept.folder for kept in published_in(published) if kept.key.task == task)


class TestTravelling:
    def test_what_is_imported_is_what_was_exported(self, world: World, published: Path, elsewhere: Path) -> None:
        answer = eebench("traces", "import", published)
        assert answer.exit_code == 0, answer.output
        assert f"{world.model} on {CHOICE}, {DOCUMENTS} documents: 1 of 1 files are new" in answer.stdout
        theirs, ours = (in_cache(TraceCache(root)) for root in (world.cache / "traces", elsewhere))
        assert [kept.key for kept in ours] == [kept.key for kept in theirs]
        assert [kept.manifest for kept in ours] == [kept.manifest for kept in theirs]
        for one, other in zip(theirs, ours, strict=True):
            for file, copy in zip(one.files, other.files, strict=True):
                assert (file.name, file.read_bytes()) == (copy.name, copy.read_bytes())

    def test_importing_twice_changes_nothing(self, published: Path, elsewhere: Path) -> None:
        assert eebench("traces", "import", published).exit_code == 0
        before = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
        answer = eebench("traces", "import", published)
        assert f"{CHOICE}, {DOCUMENTS} documents: 0 of 1 files are new" in answer.stdout
        assert {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()} == before

    def test_a_trace_of_ones_own_is_kept_and_a_damaged_one_replaced(
        self, world: World, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = Path(shutil.copytree(world.cache, tmp_path / "mine"))
        monkeypatch.setenv("EEBENCH_CACHE", str(cache))
        choice = next(kept for kept in in_cache(TraceCache(cache / "traces")) if kept.key.task == CHOICE)
        choice.files[0].write_bytes(b"damaged")
        said = eebench("traces", "import", published).stdout
        assert f"{CHOICE}, {DOCUMENTS} documents: 1 of 1 files are new" in said
        assert f"{WRITTEN}, {DOCUMENTS} documents: 0 of 1 files are new" in said

    def test_an_archive_travels_as_a_folder_does(self, world: World, tmp_path: Path) -> None:
        (choice,) = [trace for trace in TraceCache(traces_dir()).traces() if trace.key and trace.key.task == CHOICE]
        for name in ("t.tar.gz", "again.tar.gz"):
            assert eebench("traces", "export", choice.digest[:8], "-o", tmp_path / name).exit_code == 0
        assert (tmp_path / "t.tar.gz").read_bytes() == (tmp_path / "again.tar.gz").read_bytes()
        assert "0 of 1 files are new" in eebench("traces", "import", tmp_path / "t.tar.gz").stdout

    def test_a_run_goes_on_with_what_was_imported(
        self, world: World, published: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The shards are found under the names that a run looks for; generation included."""
        monkeypatch.setenv("EEBENCH_DB", f"sqlite:///{tmp_path / 'other.db'}")
        assert eebench("traces", "import", published).exit_code == 0
        options = ("--limit", DOCUMENTS, "--max-gen-toks", 6, "--num-fewshot", 0, "-p", "static:layer=2")
        before = sorted(elsewhere.glob("*/*.parquet"))
        answer = eebench("run", "-m", world.model, "-t", ",".join(TASKS), *map(str, options))
        assert answer.exit_code == 0, answer.output
        for task in TASKS:
            assert f"{task}: 1 of 1 trace shards reused" in answer.stderr
        assert sorted(elsewhere.glob("*/*.parquet")) == before

    def test_of_several_sets_of_documents_the_largest_is_published_or_the_one_named(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = Path(shutil.copytree(world.cache, tmp_path / "mine"))
        monkeypatch.setenv("EEBENCH_CACHE", str(cache))
        monkeypatch.setenv("EEBENCH_DB", f"sqlite:///{tmp_path / 'other.db'}")
        assert eebench("run", "-m", world.model, "-t", CHOICE, "--limit", "3", "-p", "full").exit_code == 0
        (choice,) = [trace for trace in TraceCache(traces_dir()).traces() if trace.key and trace.key.task == CHOICE]
        sets = [kept for kept in in_cache(TraceCache(traces_dir())) if kept.key == choice.key]
        assert [len(kept.manifest.prompt_hashes) for kept in sets] == [DOCUMENTS, 3]
        assert f"{DOCUMENTS} documents" in eebench("traces", "export", choice.digest, "-o", tmp_path / "a").stdout
        named = ("--documents", sets[1].manifest.documents_hash[:6])
        assert "3 documents" in eebench("traces", "export", choice.digest, "-o", tmp_path / "b", *named).stdout
        assert "there are " in refused("traces", "export", choice.digest, "-o", tmp_path / "c", "--documents", "zzz")
        assert not (tmp_path / "c").exists()

    def test_a_trace_that_does_not_say_what_it_is_of_is_not_published(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = Path(shutil.copytree(world.cache, tmp_path / "mine"))
        monkeypatch.setenv("EEBENCH_CACHE", str(cache))
        for manifest in cache.glob("traces/*/documents-*.json"):
            manifest.unlink()
        digest = TraceCache(traces_dir()).traces()[0].digest
        said = refused("traces", "export", digest, "-o", tmp_path / "t")
        assert said.startswith(
            f"trace {digest[:12]} does not say what it is of, or is not whole: `eebench run` the same"
        )
        assert not (tmp_path / "t").exists()

    def test_a_damaged_trace_is_not_published(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = Path(shutil.copytree(world.cache, tmp_path / "mine"))
        monkeypatch.setenv("EEBENCH_CACHE", str(cache))
        kept = in_cache(TraceCache(traces_dir()))[0]
        kept.files[0].write_bytes(b"damaged")
        digest = TraceCache(traces_dir()).traces()[0].digest
        assert "is damaged or no trace of EEBench's" in refused("traces", "export", digest, "-o", tmp_path / "t")
        assert not (tmp_path / "t").exists()

    def test_what_the_cache_says_of_the_same_documents_is_never_replaced(self, world: World, published: Path) -> None:
        before = {path: path.read_bytes() for path in traces_dir().rglob("*") if path.is_file()}
        describe(of(published, CHOICE), lambda plain: plain["documents"].update(chance=0.125, metric_direction=-1))
        said = refused("traces", "import", published)
        assert f"says otherwise of {world.model} on {CHOICE}, {DOCUMENTS} documents than the trace cache does" in said
        assert "(metric_direction, chance), so nothing was imported: `eebench traces rm " in said
        assert {path: path.read_bytes() for path in traces_dir().rglob("*") if path.is_file()} == before

    def test_another_name_of_the_model_is_no_contradiction(self, world: World, published: Path) -> None:
        describe(of(published, CHOICE), lambda plain: plain["documents"].update(model="another name"))
        assert eebench("traces", "import", published).exit_code == 0
        assert {kept.manifest.model for kept in in_cache(TraceCache(traces_dir()))} == {world.model}

    def test_other_statistics_are_told(self, published: Path, elsewhere: Path) -> None:
        describe(of(published, CHOICE), lambda plain: plain["key"].update(statistics="another"))
        answer = eebench("traces", "import", published)
        assert answer.exit_code == 0
        assert "made with other statistics than this EEBench's" in answer.stderr


# --- damaged and foreign files -----------------------------------------------------------------------------------

Damage = Callable[[Path], Any]


def describe(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Edit what a published trace says of itself."""
    plain = json.loads((folder / DESCRIPTION).read_text())
    change(plain)
    (folder / DESCRIPTION).write_text(json.dumps(plain))


def shard_of(folder: Path) -> Path:
    (shard,) = folder.glob("*.parquet")
    return shard


def flipped(folder: Path) -> None:
    content = bytearray(shard_of(folder).read_bytes())
    content[len(content) // 2] ^= 1
    shard_of(folder).write_bytes(content)


def replaced(folder: Path, content: bytes) -> None:
    """Another shard under the name and the hashes of the documents it says it is of."""
    old = shard_of(folder)
    new = old.with_name(f"{old.name.partition('-')[0]}-{_checksum(content)}.parquet")
    old.unlink()
    new.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    describe(folder, lambda plain: plain["files"][0].update(name=new.name, bytes=len(content), sha256=digest))


def with_table(folder: Path, change: Callable[[Any], Any]) -> None:
    """The shard after its table has been changed, named by what it now holds."""
    table = change(pq.read_table(shard_of(folder)))
    beside = folder.parent / "changed.parquet"
    pq.write_table(table, beside)
    content = beside.read_bytes()
    beside.unlink()
    replaced(folder, content)


def other_documents(table: Any) -> Any:
    documents = json.loads(table.schema.metadata[b"documents"])
    documents[0][1] = "f00d" * 16
    return table.replace_schema_metadata({**table.schema.metadata, b"documents": json.dumps(documents)})


DAMAGED: dict[str, tuple[Damage, str]] = {
    "a flipped bit": (flipped, "is damaged: its SHA-256 is not what trace.json says"),
    "cut": (lambda f: shard_of(f).write_bytes(b"PAR1"), "is missing, or not of the size that trace.json says"),
    "missing": (lambda f: shard_of(f).unlink(), "is missing, or not of the size that trace.json says"),
    "no Parquet": (lambda f: replaced(f, b"no Parquet"), "is damaged or no trace of EEBench's"),
    "other columns": (lambda f: with_table(f, lambda t: t.drop(["context"])), "is damaged or no trace of EEBench's"),
    "no statistic": (lambda f: with_table(f, lambda t: t.drop(["statistic:entropy"])), "a statistic is missing"),
    "fewer positions": (lambda f: with_table(f, lambda t: t.slice(3)), "is no trace of EEBench's: "),
    "other documents": (lambda f: with_table(f, other_documents), "its coins are not those of its documents"),
    "no description": (lambda f: (f / DESCRIPTION).unlink(), "holds no published trace"),
    "no JSON": (lambda f: (f / DESCRIPTION).write_text("{"), "does not describe a trace: it: Invalid JSON"),
    "another format": (lambda f: describe(f, lambda p: p["key"].update(format=1)), "is a trace of format 1, and this"),
    "a newer kind of folder": (
        lambda f: describe(f, lambda p: p.update(published_format=2)),
        "does not describe a trace: published_format",
    ),
    "documents that are not hashed so": (
        lambda f: describe(f, lambda p: p["documents"].update(documents_hash="0" * 64)),
        "documents_hash is not that of the documents",
    ),
    "prompts that are not hashed so": (
        lambda f: describe(f, lambda p: p["files"][0].update(name=f"{'0' * 24}-{'0' * 24}.parquet")),
        "names files that are not those of its documents",
    ),
    "a file that leads out": (
        lambda f: describe(f, lambda p: p["files"][0].update(name="../../etc/passwd")),
        "does not describe a trace: files.0.name: String should match pattern",
    ),
    "a cost model that cannot be": (
        lambda f: describe(f, lambda p: p["documents"]["cost"].update(head=-1.0)),
        "does not describe a trace: documents.cost.head",
    ),
    "a name of two lines": (
        lambda f: describe(f, lambda p: p["documents"].update(model="a model\n  verified   all of it")),
        "does not describe a trace: model is no line of 1 to 500 printable characters",
    ),
    "no direction": (
        lambda f: describe(f, lambda p: p["documents"].update(metric_direction=0)),
        "metric_direction is 0, and should be 1 or -1",
    ),
    "more words than there are": (
        lambda f: describe(f, lambda p: p["documents"].update(vocab_size=10**12)),
        "vocab_size is 1000000000000, and 16777216 is the most",
    ),
    "a chance beyond all": (
        lambda f: describe(f, lambda p: p["documents"].update(chance=1e308)),
        "chance is 1e+308, which guessing reaches in no metric",
    ),
    "a chance that is no number": (
        lambda f: describe(f, lambda p: p["documents"].update(chance=float("nan"))),
        "does not describe a trace: documents.chance",
    ),
    "a cost model of fewer layers": (
        lambda f: describe(f, lambda p: [p["documents"]["cost"][name].pop() for name in ("block", "attention")]),
        "block, attention and window should each have a number per layer",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_and_foreign_files_are_refused_in_a_sentence_and_nothing_is_imported(
    published: Path, elsewhere: Path, name: str
) -> None:
    damage, said = DAMAGED[name]
    folder = of(published, CHOICE)
    damage(folder)
    place = published if name != "no description" else folder
    assert said in refused("traces", "import", place)
    assert not elsewhere.exists()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/b/c/d/e"])
def test_a_hostile_archive_of_traces_is_refused(elsewhere: Path, tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "t.tar.gz", member(name), content=b"x")
    assert refused("traces", "import", path).startswith(f"{path} holds a file named ")
    assert not elsewhere.exists()


def loaded(factory: pytest.TempPathFactory, task: str) -> Trace | Tree:
    kept = {kept.key.task: kept for kept in in_cache(TraceCache(a_world(factory).cache / "traces"))}
    return kept[task].load()


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    found = loaded(tmp_path_factory, CHOICE)
    assert isinstance(found, Trace)
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    found = loaded(tmp_path_factory, WRITTEN)
    assert isinstance(found, Tree)
    return found


class TestWhatATraceMustBe:
    """Any one array that does not belong to the others is found."""

    def test_those_of_a_run_are_whole(self, trace: Trace, tree: Tree) -> None:
        assert wrong_with(trace, 5, DOCUMENTS) == wrong_with(tree, 5, DOCUMENTS) == ""

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("max_prob", np.nan, "a number of its statistic max_prob cannot be"),
            ("max_prob", 1.5, "a number of its statistic max_prob cannot be"),
            ("entropy", np.inf, "a number of its statistic entropy cannot be"),
            ("entropy", 30.0, "a number of its statistic entropy cannot be"),
            ("top1", -1, "a number of its statistic top1 cannot be"),
            ("top1", 10**6, "a number of its statistic top1 cannot be"),
            ("state_cosine", -2, "a number of its statistic state_cosine cannot be"),
            ("target", -5, "a token to be predicted is none of the vocabulary"),
            ("target_logprob", 3.0, "a log-likelihood of it cannot be"),
            ("target_logprob", -1e30, "a log-likelihood of it cannot be"),
            ("final_divergence", np.nan, "a divergence from the last layer cannot be"),
        ],
    )
    def test_a_trace_with_a_number_that_cannot_be_is_none(
        self, trace: Trace, name: str, value: float, said: str
    ) -> None:
        own = trace.statistics.get(name)
        array = np.array(getattr(trace, name) if own is None else own)
        array[..., -1] = value
        changes = {name: array} if own is None else {"statistics": {**trace.statistics, name: array}}
        assert wrong_with(replace(trace, **changes), 5, DOCUMENTS, 1000) == said

    def test_what_a_tree_does_not_know_may_be_anything(self, tree: Tree) -> None:
        probs = tree.statistics["max_prob"].copy()
        probs[~tree.known] = np.nan
        assert wrong_with(replace(tree, statistics={**tree.statistics, "max_prob": probs}), 5, DOCUMENTS) == ""
        probs[tree.known] = np.nan
        wrong = wrong_with(replace(tree, statistics={**tree.statistics, "max_prob": probs}), 5, DOCUMENTS)
        assert wrong == "a number of its statistic max_prob cannot be"

    @pytest.mark.parametrize(
        "changes",
        [
            lambda t: {"position": t.position[::-1].copy()},
            lambda t: {"position": t.position + 1},
            lambda t: {"length": t.length * 0},
            lambda t: {"context": t.context * 0},
            lambda t: {"key": t.key + np.uint64(1)},
            lambda t: {"request": t.request * 0},
            lambda t: {"request": t.request + 1},
            lambda t: {"request": t.request[:-1]},
            lambda t: {"target": t.target.astype(float)},
            lambda t: {"target_logprob": t.target_logprob[:-1]},
            lambda t: {"final_divergence": t.final_divergence[:, :-1]},
            lambda t: {"statistics": {**t.statistics, "entropy": t.statistics["entropy"].T}},
            lambda t: {"statistics": {}},
            lambda t: {"documents": t.documents[:-1]},
            lambda t: {"documents": (Document(0, "another"), *t.documents[1:])},
            lambda t: {"requests": (Request(10**6, 0), *t.requests[1:])},
            lambda t: {"requests": t.requests[::-1]},
        ],
    )
    def test_a_trace_whose_arrays_do_not_belong_together_is_none(
        self, trace: Trace, changes: Callable[[Trace], dict[str, Any]]
    ) -> None:
        assert wrong_with(replace(trace, **changes(trace)), 5, DOCUMENTS)

    @pytest.mark.parametrize(
        "changes",
        [
            lambda t: {"parent": t.parent + 1},
            lambda t: {"parent": t.parent * 0 - 1},
            lambda t: {"parent": t.parent[::-1].copy()},
            lambda t: {"position": t.position * 0},
            lambda t: {"known": t.known[:-1]},
            lambda t: {"compared": t.compared.astype(float)},
            lambda t: {"ends": t.ends + 10**6},
            lambda t: {"key": t.key[::-1].copy()},
            lambda t: {"request": t.request[::-1].copy()},
        ],
    )
    def test_a_tree_whose_arrays_do_not_belong_together_is_none(
        self, tree: Tree, changes: Callable[[Tree], dict[str, Any]]
    ) -> None:
        assert wrong_with(replace(tree, **changes(tree)), 5, DOCUMENTS)

    def test_another_model_has_other_layers(self, trace: Trace, tree: Tree) -> None:
        assert wrong_with(trace, 6, DOCUMENTS)
        assert wrong_with(tree, 6, DOCUMENTS)
        assert wrong_with(trace, 5, DOCUMENTS + 1)


# --- replaying ---------------------------------------------------------------------------------------------------


class TestReplaying:
    def test_the_numbers_are_those_of_the_run_bit_by_bit(self, world: World, published: Path) -> None:
        specs = ["entropy:threshold=[5.0,5.5]", "gate:threshold=[0.3,0.6]", "oracle", str(world.policy)]
        replayed = replay_published(published, specs)
        assert {stored.evaluation.task for stored in replayed} == {CHOICE, ROLLING}
        with Store.open() as store:
            kept = {(s.evaluation.task, s.result.setting): s for s in store.of_run(1)}
            for stored in replayed:
                measured = kept[stored.evaluation.task, stored.result.setting]
                rows = store.documents(measured.result_id)
                for name in rows.keys() - {"quality"}:
                    assert stored.result.documents[name].tobytes() == rows[name].tobytes(), name
                assert stored.result.exit_histogram == measured.result.exit_histogram
                assert stored.result.params == measured.result.params
                own, other = stored.result.summaries["test"], measured.result.summaries["test"]
                assert own == replace(other, quality=None, retention=None)

    def test_quality_is_left_open_and_said_to_be(self, published: Path) -> None:
        (stored,) = replay_published(of(published, CHOICE), ["full"])
        assert (stored.result.quality_full, stored.result.metrics) == (None, {})
        assert not stored.evaluation.informative
        assert "quality was not measured" in stored.evaluation.informative_note

    def test_they_make_a_ranking_with_intervals(self, world: World, published: Path) -> None:
        results = replay_published(of(published, CHOICE), [str(world.policy), "oracle", "entropy"])
        board = rank(results, documents=DocumentRows(results))
        rows = {row.policy: row for row in board.ranking}
        assert rows["oracle"].ee_score_layers == pytest.approx(100)
        assert rows["dice"].rank in (1, 2)
        assert rows["dice"].interval_layers is not None

    def test_a_generation_task_is_no_matter_for_a_ranking(self, published: Path) -> None:
        with pytest.raises(EEBenchError, match="only traces of generation tasks are here"):
            replay_published(of(published, WRITTEN), ["full"])

    def test_a_tree_replays_the_settings_that_were_decoded_on_it_and_no_other(self, published: Path) -> None:
        replayable = Replayable(published_in(of(published, WRITTEN))[0])
        scored = replayable.scorer.score(find_policy("oracle")())
        assert scored.summaries["all"].fidelity == 1.0
        with pytest.raises(LeavesTree):
            replayable.scorer.score(find_policy("random")(p=0.9, seed=7))  # type: ignore[call-arg]

    def test_a_folder_without_traces_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(EEBenchError, match="holds no published trace"):
            replay_published(tmp_path, ["full"])

    def test_neither_torch_nor_lm_eval_is_imported(self, published: Path, world: World) -> None:
        script = (
            "import sys\n"
            "from eebench.published.replaying import DocumentRows, replay_published\n"
            "from eebench.ranking.rank import rank\n"
            "results = replay_published(sys.argv[1], [sys.argv[2], 'all'])\n"
            "rank(results, documents=DocumentRows(results))\n"
            "print(sorted({'torch', 'lm_eval', 'transformers', 'datasets', 'sqlalchemy'} & set(sys.modules)))\n"
        )
        command = [sys.executable, "-c", script, str(published), str(world.policy)]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        assert said.stdout.splitlines()[-1] == "[]"


class TestRanking:
    def test_a_policy_in_a_file_stands_among_the_built_in_ones(self, published: Path, world: World) -> None:
        answer = eebench("rank", world.policy, "--trace", published, "--quiet")
        assert answer.exit_code == 0, answer.output
        rows = [line.split() for line in answer.stdout.splitlines() if line[:1].isdigit()]
        assert {"dice", "confidence", "gate", "entropy"} <= {row[1] for row in rows if len(row) > 1}
        assert "dice: rank " in answer.stdout
        assert " of 10." in answer.stdout
        assert "oracle" in answer.stdout
        assert "EE-scores by quality are left open" in answer.stdout

    def test_on_one_trace_its_settings_are_shown_too_and_no_others(self, published: Path, world: World) -> None:
        answer = eebench(
            "rank", world.policy, "--trace", published, "-t", CHOICE, "--quiet", "--among", "entropy,oracle"
        )
        assert "  rate=0.2" in answer.stdout
        assert "  rate=0.5" in answer.stdout
        assert "threshold=" not in answer.stdout.partition("Exit policies ranked")[0]

    def test_without_a_trace_named_it_takes_those_in_the_cache(self, world: World) -> None:
        named = eebench(
            "rank", f"{world.policy}:rate=0.1..0.9/3", "--quiet", "--rank-by", "compute", "--among", "oracle"
        )
        assert named.exit_code == 0, named.output
        assert f"on 2 tasks, {2 * DOCUMENTS} documents" in named.stdout

    def test_the_same_from_an_archive(self, world: World, tmp_path: Path) -> None:
        ids = [trace.digest for trace in TraceCache(traces_dir()).traces()]
        assert eebench("traces", "export", *ids, "-o", tmp_path / "t.tgz").exit_code == 0
        commands = (["--trace", tmp_path / "t.tgz"], [])
        said = [eebench("rank", world.policy, "--quiet", "--among", "oracle", *command).stdout for command in commands]
        assert said[0] == said[1]

    def test_where_the_cache_has_none_it_takes_those_that_come_along(
        self, world: World, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "empty"))
        monkeypatch.setattr(standing, "shipped_folder", lambda: published)
        commands = (["--trace", published], [])
        said = [eebench("rank", world.policy, "--quiet", "--among", "oracle", *command).stdout for command in commands]
        assert said[0] == said[1]

    def test_where_there_is_no_trace_it_says_how_to_get_one(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "empty"))
        monkeypatch.setattr(standing, "shipped_folder", lambda: tmp_path)
        assert "`eebench run` makes them, or name a published one with `eebench rank" in refused("rank", world.policy)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["-t", WRITTEN], "only traces of generation tasks are here"),
            (["-m", "nobody"], "no trace is of a model and a task that are named: there are "),
            (["--trace", "nowhere"], "there is nothing at nowhere"),
        ],
    )
    def test_what_is_not_there_is_one_sentence(self, world: World, arguments: list[str], said: str) -> None:
        assert said in refused("rank", world.policy, *arguments, "--quiet")

    def test_a_policy_that_raises_is_one_sentence(self, world: World, tmp_path: Path) -> None:
        broken = tmp_path / "broken.py"
        broken.write_text(DICE.replace("return", "return 1 / 0 or"))
        assert "raised ZeroDivisionError at layer 1" in refused("rank", broken, "--quiet")

    def test_nothing_heavy_is_imported(self, world: World, published: Path) -> None:
        for where in (["--trace", str(published)], []):
            assert heavy_imports(["rank", str(world.policy), "--quiet", *where]) == "[]"


@pytest.mark.parametrize("arguments", [["export", "ID", "-o", "OUT"], ["import", "IN"]])
def test_moving_traces_imports_nothing_heavy(
    world: World, published: Path, tmp_path: Path, arguments: list[str]
) -> None:
    places = {"ID": TraceCache(traces_dir()).traces()[0].digest, "OUT": str(tmp_path / "out"), "IN": str(published)}
    assert heavy_imports(["traces", *(places.get(argument, argument) for argument in arguments)]) == "[]"


def test_exporting_to_a_place_that_is_taken_is_refused(world: World, published: Path) -> None:
    kept: list[KeptTrace] = published_in(published)
    with pytest.raises(EEBenchError, match="is there already"):
        export_traces(kept, published)


class TestScore:
    """`policies check --score`, on the traces that come with EEBench."""

    def test_a_policy_that_passes_is_ranked_in_the_same_breath(self, world: World) -> None:
        answer = eebench("policies", "check", world.policy, "--score")
        assert answer.exit_code == 0, answer.output
        assert "dice keeps every promise." in answer.stdout
        assert "dice: rank " in answer.stdout
        assert "smollm2-135m-joint" in answer.stdout

    def test_the_same_as_data(self, world: World) -> None:
        answer = eebench("policies", "check", world.policy, "--score", "--format", "json")
        (row,) = json.loads(answer.stdout)["standing"]
        assert row["policy"] == "dice"
        assert 1 <= row["rank"] <= row["of"] == 10
        assert row["interval"][0] <= row["ee_score"] <= row["interval"][1]

    def test_one_that_breaks_a_promise_is_not(self, world: World, tmp_path: Path) -> None:
        broken = tmp_path / "broken.py"
        broken.write_text(DICE.replace("return", "return 1 / 0 or"))
        answer = eebench("policies", "check", broken, "--score")
        assert answer.exit_code == 1
        assert "rank" not in answer.stdout

    def test_the_traces_that_come_along_are_whole(self) -> None:
        traces = standing.shipped_traces()
        for kept in traces:
            check_hashes(kept)
        assert {kept.manifest.model for kept in traces} == {"smollm2-135m", "smollm2-135m-joint"}

    def test_nothing_heavy_is_imported(self, world: World) -> None:
        assert heavy_imports(["policies", "check", str(world.policy), "--score"]) == "[]"
