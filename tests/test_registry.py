"""Finding policies: those that came with EEBench, and those in a file that may hold anything."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from eebench import statistics
from eebench.errors import EEBenchError
from eebench.plugins.registry import builtin_policies, find_policy, load_policy_file, source_hash

HEADER = "from eebench.policy import Bools, ExitPolicy, LayerView\n"


def a_class(name: str, extra: str = "") -> str:
    stops = "    def stops(self, layer: LayerView) -> Bools:\n        return layer.all()\n"
    return f"\nclass {name}(ExitPolicy):\n    {extra or 'pass'}\n{stops}"


Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a policy file, and give its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


def refused(path: str, class_name: str | None = None) -> str:
    with pytest.raises(EEBenchError) as error:
        load_policy_file(path, class_name)
    assert "\n" not in error.value.message
    assert error.value.message.endswith(".")
    return error.value.message


class TestBuiltIn:
    def test_are_these_policies_first_then_controls_then_bounds(self) -> None:
        assert list(builtin_policies()) == [
            *("confidence", "decay", "entropy", "gate", "margin", "patience", "schedule", "similarity", "state"),
            *("full", "random", "static"),
            *("oracle", "oracle-stable"),
        ]
        kinds = [policy.kind for policy in builtin_policies().values()]
        assert kinds == ["policy"] * 9 + ["control"] * 3 + ["bound"] * 2

    def test_are_found_by_name(self) -> None:
        assert find_policy("entropy").name == "entropy"

    def test_have_the_hash_of_their_file(self) -> None:
        for policy in builtin_policies().values():
            content = Path(inspect.getfile(policy)).read_bytes()
            assert source_hash(policy) == (True, hashlib.sha256(content).hexdigest())


class TestFiles:
    def test_the_one_policy_of_a_file_needs_no_name(self, write: Write) -> None:
        policy = load_policy_file(write(HEADER + a_class("SureTwice")))
        assert (policy.__name__, policy.name, policy.kind) == ("SureTwice", "sure-twice", "policy")

    def test_a_class_is_picked_by_name(self, write: Write) -> None:
        assert load_policy_file(write(HEADER + a_class("One") + a_class("Two")), "Two").name == "two"

    def test_what_a_file_imports_to_build_on_is_not_its_policy(self, write: Write) -> None:
        text = f"{HEADER}from eebench.policies.entropy import Entropy\nclass Mine(Entropy):\n    pass\n"
        assert load_policy_file(write(text)).name == "mine"

    def test_annotations_may_be_postponed(self, write: Write) -> None:
        text = "from __future__ import annotations\nfrom eebench.policy import Layer\n" + HEADER
        policy = load_policy_file(write(text + a_class("Mine", "depth: Layer = 3")))
        assert policy().params()["depth"] == 3

    def test_a_tilde_is_the_home_folder(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(Path(write(HEADER + a_class("Mine"))).parent))
        assert load_policy_file("~/mine.py").name == "mine"

    def test_the_same_content_is_the_same_class(self, write: Write) -> None:
        path = write(HEADER + a_class("Mine"))
        assert load_policy_file(path) is load_policy_file(path)

    def test_an_edited_file_is_read_anew(self, write: Write) -> None:
        before = load_policy_file(write(HEADER + a_class("Mine", "formula = 'before'")))
        after = load_policy_file(write(HEADER + a_class("Mine", "formula = 'after'")))
        assert (before.formula, after.formula) == ("before", "after")

    def test_have_the_hash_of_the_text_that_was_read(self, write: Write) -> None:
        text = HEADER + a_class("Mine")
        policy = load_policy_file(write(text))
        write("# edited while a run goes on")
        assert source_hash(policy) == (False, hashlib.sha256(text.encode()).hexdigest())

    def test_may_register_a_statistic(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(statistics, "REGISTRY", dict(statistics.REGISTRY))
        before = statistics.fingerprint()
        header = "from eebench.statistics import statistic\n" + HEADER
        register = '@statistic(reads_head=False)\ndef state_norm(lens):\n    """Length of the state."""\n'
        load_policy_file(write(f"{header}{register}    return lens.state.norm(dim=-1)\n{a_class('Mine')}"))
        assert statistics.find_statistic("state_norm").describes == "Length of the state."
        assert statistics.layers_read("state_norm", 3) == set()
        assert statistics.fingerprint() != before


class TestBadFiles:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        for path in (str(tmp_path / "none.py"), str(tmp_path)):
            assert refused(path) == f"no policy file at {path}: give the path of a Python file that exists."

    def test_one_that_may_not_be_read(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(HEADER + a_class("Mine"))

        def fails(_path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", fails)
        assert refused(path) == f"{path} could not be read: Permission denied."

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("\n1 / 0\n", "at line 2: ZeroDivisionError: division by zero."),
            ("\n\ndef broken(:\n", "at line 3: SyntaxError: invalid syntax."),
            ("import no_such_module\n", "at line 1: ModuleNotFoundError: No module named 'no_such_module'."),
            ("raise SystemExit(3)\n", "at line 1: SystemExit: 3."),
            ("raise ValueError\n", "at line 1: ValueError."),
            ("raise ValueError('first line\\nsecond line')\n", "at line 1: ValueError: first line."),
            ("def f():\n    raise KeyError('x')\nf()\n", "at line 2: KeyError: 'x'."),
            (HEADER + a_class("Mine", "p: NoSuchType = 1"), "at line 4: NameError: name 'NoSuchType' is not defined"),
            (
                "from __future__ import annotations\n" + HEADER + a_class("Mine", "p: NoSuchType = 1"),
                "PydanticUndefinedAnnotation: name 'NoSuchType' is not defined",
            ),
        ],
    )
    def test_one_that_raises_is_told_with_the_line(self, write: Write, text: str, said: str) -> None:
        path = write(text)
        sentence = refused(path)
        assert sentence.startswith(f"{path} could not be read")
        assert said in sentence

    def test_one_that_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.py"
        path.write_bytes(b"\xff\xfe\x00\x01")
        assert refused(str(path)).startswith(f"{path} could not be read: SyntaxError: ")

    def test_one_that_was_mended_is_read_again(self, write: Write) -> None:
        refused(write("1 / 0"))
        assert load_policy_file(write(HEADER + a_class("Mine"))).name == "mine"

    def test_an_interrupt_is_no_error_of_the_file(self, write: Write) -> None:
        with pytest.raises(KeyboardInterrupt):
            load_policy_file(write("raise KeyboardInterrupt"))

    @pytest.mark.parametrize("text", ["", HEADER, HEADER + "class Mine(ExitPolicy):\n    pass\n"])
    def test_one_without_a_policy(self, write: Write, text: str) -> None:
        path = write(text)
        assert refused(path) == (
            f"{path} defines no policy: give it a subclass of eebench.policy.ExitPolicy with a `stops`."
        )

    def test_one_with_several_policies_and_none_named(self, write: Write) -> None:
        path = write(HEADER + a_class("One") + a_class("Two"))
        assert refused(path) == f"{path} defines One, Two: say which, as in {path}:One."

    def test_one_without_the_policy_that_is_named(self, write: Write) -> None:
        path = write(HEADER + a_class("One") + a_class("Two"))
        assert refused(path, "Tow") == f"unknown policy in {path} 'Tow': did you mean Two? It defines One, Two."

    def test_one_whose_policy_has_the_name_of_a_built_in_one(self, write: Write) -> None:
        path = write(HEADER + a_class("Entropy"))
        assert refused(path) == (
            f"class Entropy in {path} has the name of the built-in policy 'entropy': rename the class, or give it a "
            f"`name` of its own."
        )
        renamed = a_class("Entropy", "name = 'my-entropy'")
        assert load_policy_file(write(HEADER + renamed)).name == "my-entropy"
