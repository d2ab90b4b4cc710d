"""Policies that others have written, on the traces they are scored on: no foresight, no way out, no way around."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eebench.cache import traces_dir
from eebench.plugins.registry import builtin_policies, find_policy
from eebench.plugins.template import NewPolicy
from eebench.published import standing
from eebench.published.kept_traces import KeptTrace, in_cache
from eebench.published.replaying import Replayable
from eebench.records.results import Result
from eebench.statistics import REGISTRY
from eebench.submission.bundles import read_bundle
from eebench.submission.policy_audit import reaches_beyond
from eebench.submission.replay_checks import ByTrace
from eebench.traces.cache import TraceCache
from tests.tampering import source_with, swapped_rows
from tests.test_bundles import refused as refused_in_a_sentence
from tests.worlds import CHOICE, DICE, DOCUMENTS, ROLLING, WRITTEN, Changed, World, bundle_of, changed, eebench

MINE = '''"""A policy of one's own."""

from operator import attrgetter

import numpy as np

from eebench.policy import ExitPolicy, swept

SEEN = {}


class Mine(ExitPolicy):
    """Stop when it is time."""

    formula = "when it is time"
    source = "a test"

    threshold: float = swept(1.0, over=(1.0, 0.9, 0.5, 0.0), ge=0, le=1)

    def stops(self, layer):
'''

PEEK = (
    'at = attrgetter("_" + "source._" + "positions")(layer)',
    'return (layer.top1 == at.all_layers("top1")[-1]) & (layer.uniform(1) < self.threshold)',
)
RECALL = (
    "coins = layer.uniform(7).tolist()",
    "if self.threshold == 1.0:",
    "    SEEN.update(zip(coins, layer.top1.tolist()))",
    "    return layer.none()",
    "known = np.array([SEEN.get(coin, -1) for coin in coins], dtype=int)",
    "return (layer.top1 == known) & (layer.max_prob >= 0)",
)


def mine(*statements: str, before: str = "") -> str:
    return before + MINE + "".join(f"        {statement}\n" for statement in statements)


@pytest.fixture
def choice(world: World) -> KeptTrace:
    return next(kept for kept in in_cache(TraceCache(traces_dir())) if kept.key.task == CHOICE)


def refused(folder: Path, *arguments: str | Path) -> list[str]:
    """The reasons for which a bundle is refused, with exit code 1."""
    answer = eebench("leaderboard", "verify", folder, *arguments)
    assert answer.exit_code == 1, answer.output
    assert isinstance(answer.exception, SystemExit)
    return [line.split(None, 1)[1] for line in answer.stdout.splitlines() if line.startswith("  REFUSED")]


class TestRankedOnATrace:
    """What `eebench rank` and the exam's --score make of it."""

    @pytest.fixture
    def write(self, world: World, tmp_path: Path) -> Any:
        def write(*statements: str, before: str = "") -> Path:
            path = tmp_path / "mine.py"
            path.write_text(mine(*statements, before=before))
            return path

        return write

    @pytest.mark.parametrize(
        ("statements", "said"),
        [
            (
                PEEK,
                r"policy mine:threshold=\S+ has foresight: at \d+ of \d+ positions, the first at layer \d, it decides",
            ),
            (
                RECALL,
                r"policy mine:threshold=\S+ decides otherwise at \d+ of \d+ positions, .* in a module read anew: keep",
            ),
            (
                ["return layer.max_prob > layer.max_prob.mean()"],
                r"mine:threshold=\S+ has foresight: .* or other positions",
            ),
            (
                ["layer.position[:] = 0", "return layer.none()"],
                r"policy mine:threshold=\S+ writes into what it is shown at",
            ),
            (["raise SystemExit(0)"], r"policy mine:threshold=\S+ raised SystemExit at layer 1: 0; mend its `stops`"),
            (["raise BaseException"], r"policy mine:threshold=\S+ raised BaseException at layer 1; mend its `stops`"),
        ],
    )
    def test_what_no_policy_may_do_is_one_sentence(self, write: Any, statements: Any, said: str) -> None:
        assert re.search(
            said, refused_in_a_sentence("rank", write(*statements), "--among", "full", "-t", CHOICE, "--quiet")
        )

    @pytest.mark.parametrize(
        "code",
        [
            "raise SystemExit(0)",
            "    @property\n    def needs_fit(self):\n        raise SystemExit(0)\n",
            "    def params(self):\n        raise SystemExit(0)\n",
            "    def __hash__(self):\n        raise SystemExit(0)\n",
        ],
    )
    def test_what_ends_the_program_is_one_sentence_wherever_it_stands(self, write: Any, code: str) -> None:
        path = write("return layer.none()")
        path.write_text(path.read_text() + code if code.startswith(" ") else f"{code}\n{path.read_text()}")
        assert "SystemExit" in refused_in_a_sentence("rank", path, "--among", "full", "-t", CHOICE, "--quiet")

    def test_what_scores_by_foresight_has_no_score(
        self, world: World, choice: KeptTrace, write: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(standing, "shipped_traces", lambda: [choice])
        honest_in_the_exam = ("if layer.num_layers == 8:", "    return layer.max_prob >= self.threshold", *RECALL)
        answer = eebench("policies", "check", write(*honest_in_the_exam), "--score")
        assert answer.exit_code == 2, answer.output
        assert "in a module read anew" in answer.stderr
        assert "rank" not in answer.stdout

    @pytest.mark.parametrize("name", ["confidence", "gate", "patience", "similarity", "random"])
    def test_a_policy_that_is_honest_scores_as_the_built_in_one_does(
        self, choice: KeptTrace, tmp_path: Path, name: str
    ) -> None:
        source = Path(inspect.getfile(builtin_policies()[name])).read_text()
        path = tmp_path / "theirs.py"
        path.write_text(source.replace("class " + builtin_policies()[name].__name__, "class Theirs"))
        theirs, ours = (standing.standing(policy, [choice], ["full"], "layers") for policy in (str(path), name))
        for one, other in zip(theirs.results, ours.results, strict=True):
            for column, values in one.result.documents.items():
                np.testing.assert_array_equal(values, other.result.documents[column])


class TestVerified:
    @pytest.fixture
    def measured(self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Run a policy of one's own on the trace that is there, and make a bundle of it."""

        def measured(text: str) -> Path:
            (tmp_path / "mine.py").write_text(text)
            monkeypatch.setenv("EEBENCH_DB", f"sqlite:///{tmp_path / 'other.db'}")
            options = ("--limit", str(DOCUMENTS), "--num-fewshot", "0", "-p", str(tmp_path / "mine.py"))
            ran = eebench("run", "-m", world.model, "-t", CHOICE, *options)
            assert ran.exit_code == 0, ran.output
            assert eebench("export", "-o", tmp_path / "bundle").exit_code == 0
            return tmp_path / "bundle"

        return measured

    def test_what_recalls_what_another_setting_was_shown_is_refused(self, measured: Any) -> None:
        folder = measured(mine(*RECALL).replace("from operator import attrgetter\n", ""))
        assert eebench("leaderboard", "verify", folder).exit_code == 0  # as far as its rows tell
        reasons = refused(folder, "--run-policies")
        assert any("in a module read anew: keep running values in layer.state" in reason for reason in reasons)

    def test_what_peeks_is_not_even_run(self, measured: Any) -> None:
        (reason, *_) = refused(measured(mine(*PEEK)), "--run-policies")
        assert "its source imports operator, and a policy has its view and nothing else" in reason

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            (("return", "raise SystemExit(0)\n        return"), "dice:rate=0.2 raised SystemExit at layer 1: 0"),
            (("return", "raise Odd\n        return"), "dice:rate=0.2 raised Odd at layer 1"),
            (("return", "raise Mute\n        return"), "dice:rate=0.2 raised Mute at layer 1"),
            (('"""Toss', 'raise SystemExit(0)\n"""Toss'), "its code could not be run: "),
            (('"""Toss', 'class E(BaseException): pass\nraise E\n"""Toss'), "could not be read at line 2: E."),
            (('"""Toss', 'import os\nos._exit(0)\n"""Toss'), "its source imports os, and a policy has its view"),
            (("return", "layer.length[:] = 1\n        return"), "writes into what it is shown at layer 1"),
        ],
    )
    def test_no_code_of_a_policy_ends_the_check_as_if_all_were_well(
        self, world: World, tmp_path: Path, code: tuple[str, str], said: str
    ) -> None:
        odd = "class Odd(BaseException):\n    pass\n"
        mute = "class Mute(Exception):\n    def __str__(self):\n        raise SystemExit(0)\n"
        errors = ("class Dice", f"{odd}{mute}\nclass Dice")
        reasons = refused(changed(world, tmp_path, source_with(errors, code)), "--run-policies")
        assert any(said in reason for reason in reasons), reasons

    def test_the_other_bundles_of_a_board_are_still_checked(self, world: World, tmp_path: Path) -> None:
        def broken(bundle: Changed) -> None:
            bundle.source(f"raise SystemExit(0)\n{DICE}")

        def honest(bundle: Changed) -> None:
            bundle.contents["run"]["seed"] += 1
            for lines in bundle.lines:
                lines[:] = [line for line in lines if line["kind"] != "policy" or line["policy"] == "dice"]

        board = tmp_path / "board"
        for number, edit in enumerate((broken, honest)):
            bundle = changed(world, tmp_path / str(number), edit)
            assert eebench("leaderboard", "add", bundle, "--into", board).exit_code == 0
        answer = eebench("leaderboard", "verify", board, "--run-policies")
        assert answer.exit_code == 1
        assert answer.stdout.count("its code could not be run: ") == 3  # once for each evaluation
        assert answer.stdout.count("dice 2") == 3

    def test_a_statistic_that_eebench_has_is_read_as_eebench_does(self, world: World, tmp_path: Path) -> None:
        free = (
            "from eebench.statistics import statistic\n\n\n@statistic(reads_head=False)\ndef max_prob(lens): return 0\n"
        )
        before = dict(REGISTRY)
        folder = changed(world, tmp_path, lambda bundle: bundle.source(free + DICE))
        answer = eebench("leaderboard", "verify", folder, "--run-policies")
        assert answer.exit_code == 0, answer.output
        assert answer.stdout.splitlines()[0].endswith(" verified")
        assert before == REGISTRY


class TestOfAnotherMachine:
    """Where the trace of a document is not the one that it was measured on, a few positions may differ."""

    def elsewhere(self, bundle: Changed, *documents: int) -> None:
        for number in documents or range(DOCUMENTS):
            bundle.shared[0]["documents"][number]["trace_hash"] = "f00d" * 8

    def test_the_same_rows_hold(self, world: World, tmp_path: Path) -> None:
        answer = eebench("leaderboard", "verify", changed(world, tmp_path, self.elsewhere), "--run-policies")
        assert answer.exit_code == 0, answer.output
        assert "(the trace at hand was made on another machine)" in answer.stdout

    def test_one_such_document_excuses_no_other(self, world: World, tmp_path: Path) -> None:
        def edit(bundle: Changed) -> None:
            before = dict(bundle.setting("dice")["documents"])
            before = {name: list(values) for name, values in before.items()}
            swapped_rows(bundle)
            after = bundle.setting("dice")["documents"]
            same = [n for n in range(DOCUMENTS) if all(before[name][n] == after[name][n] for name in before)]
            self.elsewhere(bundle, same[0])

        reasons = refused(changed(world, tmp_path, edit), "--run-policies")
        assert any("is another than replayed from the trace" in reason for reason in reasons), reasons

    def test_rows_that_no_rounding_moves_so_far_are_refused(self, world: World, tmp_path: Path) -> None:
        def edit(bundle: Changed) -> None:
            self.elsewhere(bundle)
            swapped_rows(bundle)

        (reason,) = refused(changed(world, tmp_path, edit), "--run-policies")
        assert re.search(
            r"dice:rate=0.2: \w+ differs at \d+ positions or more from what is replayed on the trace", reason
        )

    def test_how_often_layers_agree_is_checked(self, world: World, tmp_path: Path) -> None:
        def edit(bundle: Changed) -> None:
            self.elsewhere(bundle)
            for row in bundle.shared[0]["documents"]:
                row["layer_agrees"][1] = row["n_positions"] - row["layer_agrees"][1]

        reasons = refused(changed(world, tmp_path, edit))
        assert any("how often layers agree with the full model differs at" in reason for reason in reasons), reasons

    def by_trace(self, world: World, tmp_path: Path, task: str, change: dict[str, Any]) -> tuple[ByTrace, Result]:
        """The checks of the evaluation of a task, its documents changed and of another machine; and a result."""
        bundle = read_bundle(bundle_of(world, tmp_path))
        measured = next(one for one in bundle.evaluations if one.evaluation.task == task)
        documents = {**measured.evaluation.documents, "trace_hash": np.array(["f00d" * 8] * DOCUMENTS)}
        for name, by in change.items():
            documents[name] = documents[name] + by
        changed = replace(measured, evaluation=replace(measured.evaluation, documents=documents))
        kept = next(kept for kept in in_cache(TraceCache(traces_dir())) if kept.key.task == task)
        full = next(result for result in measured.results if result.setting == "full")
        return ByTrace(changed, Replayable(kept)), full

    @pytest.mark.parametrize(
        ("column", "by", "said"),
        [
            ("quality", -1e-4, ""),
            ("quality", -30.0, "its log-likelihoods differ by "),
            ("flops", 1e-3, ""),
            ("flops", 1e9, "flops differs at "),
            ("flops_full", 1e9, "flops_full is another than on the trace at hand"),
            ("lens_reads", 40, "lens_reads differs at 160 positions or more from what is replayed"),
            ("agrees", -10, "agrees differs at 160 positions or more from what is replayed"),
            ("exit_layers", -40, "exit_layers differs at 160 positions or more from what is replayed"),
        ],
    )
    def test_each_column_of_a_setting_is_compared(
        self, world: World, tmp_path: Path, column: str, by: float, said: str
    ) -> None:
        checks, full = self.by_trace(world, tmp_path, ROLLING, {})
        changed = replace(full, documents={**full.documents, column: full.documents[column] + by})
        assert [why[: len(said)] for why in checks.wrong_with_result(changed, find_policy("full")())] == [said] * bool(
            said
        )

    @pytest.mark.parametrize(
        ("column", "by", "said"),
        [
            ("coin_agrees", 10, "the end of the no-skill line: agrees differs at 160 positions or more"),
            ("coin_flops", 1e9, "the end of the no-skill line: flops differs at "),
            ("layer_agrees", 10, "how often layers agree with the full model differs at 160 positions"),
            ("n_positions", 1, "n_positions of its documents is another than in the trace at hand"),
        ],
    )
    def test_what_all_settings_share_is_compared(
        self, world: World, tmp_path: Path, column: str, by: float, said: str
    ) -> None:
        checks, _full = self.by_trace(world, tmp_path, ROLLING, {column: by})
        assert [why[: len(said)] for why in checks.wrong_with_evaluation()] == [said]

    def test_generation_is_compared_as_a_whole(self, world: World, tmp_path: Path) -> None:
        checks, full = self.by_trace(world, tmp_path, WRITTEN, {})
        assert list(checks.wrong_with_evaluation()) == []
        assert list(checks.wrong_with_result(full, find_policy("full")())) == []
        half = replace(full, documents={**full.documents, "flops": full.documents["flops"] / 2})
        (why,) = checks.wrong_with_result(half, find_policy("full")())
        assert why.startswith("compute saved is 0.5, and ")


class TestTheAudit:
    @pytest.mark.parametrize(
        "reach",
        [
            "from operator import attrgetter",
            "import traceback, types",
            "def stops(self, layer): return getattr(layer, '_so' + 'urce')",
            "def stops(self, layer): return getattr(layer, f'{self.a}{self.b}')",
            "def stops(self, layer): return getattr(layer, '_source')",
            "NAME = '_source'\ndef stops(self, layer): return getattr(layer, NAME)",
            "get = getattr",
            "def stops(self, layer): return setattr(layer, 'index', 1)",
            "def stops(self, layer): return '{0._source}'.format(layer)",
            "class A:\n    def stops(me, self): return self._source",
            "class A:\n    def stops(self, layer): return self._source",
            "class A:\n    def stops(self, layer): return self.__dict__",
            "class A:\n    def stops(self, layer):\n        self = layer\n        return self._hidden",
            "F = lambda self: self._hidden",
            "def stops(self, layer):\n    match layer:\n        case LayerView(_source=s): return s",
            "def stops(self, layer): layer.top1.flags.writeable = True",
            "def stops(self, layer): layer.top1.base[:] = 7",
            "def stops(self, layer): layer.top1.setflags(write=True)",
            "import numpy as np\nnp.array_equal = None",
            "LayerView.top1 = None",
            "import numpy as np\nmodule = np",
            "from eebench.statistics import REGISTRY",
            "import eebench.statistics",
            "x = globals()",
            "x = vars(LayerView)",
            "x = LayerView.none.__globals__",
        ],
    )
    def test_ways_around_the_view_are_named(self, reach: str) -> None:
        assert next(reaches_beyond(f"from eebench.policy import LayerView\n{reach}\n".encode()))

    @pytest.mark.parametrize(
        "line",
        [
            "self._asked = 1",
            "layer.state.seen = layer.top1",
            "state = layer.state; state.count = 1",
            "count = getattr(layer.state, 'count', 0)",
            "if hasattr(layer.state, 'count'): pass",
            "shown = f'{self.base}_of_{layer.index}'",
            "for name in ('entropy', 'max_prob'): getattr(layer, name)",
            "np.linalg.norm(layer.entropy)",
            "type(self).__name__",
        ],
    )
    def test_what_a_policy_needs_is_not(self, line: str) -> None:
        source = f"import numpy as np\nclass A:\n    base = 2\n    def stops(self, layer):\n        {line}\n"
        assert list(reaches_beyond(source.encode())) == []

    def test_the_template_of_a_new_policy_is_not(self) -> None:
        new = NewPolicy("my_policy", Path())
        assert list(reaches_beyond(new.texts()[new.file].encode())) == []


def test_the_bundle_of_these_tests_is_whole(world: World, tmp_path: Path) -> None:
    answer = eebench("leaderboard", "verify", bundle_of(world, tmp_path), "--run-policies")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.splitlines()[0].endswith(" verified")
