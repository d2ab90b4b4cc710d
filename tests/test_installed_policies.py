"""Policies of installed packages: found by name, told apart, and no trouble when they are broken."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eebench.cli import main
from eebench.errors import EEBenchError
from eebench.plugins import installed as installed_policies
from eebench.plugins.registry import builtin_policies, find_policy, source_hash
from eebench.policy import ExitPolicy
from eebench.spec import parse_policies, settings_for

HEADER = "from eebench.policy import ExitPolicy, swept\n"


def a_class(name: str, extra: str = "") -> str:
    return (
        f'class {name}(ExitPolicy):\n    """A policy of a package."""\n    formula = "always, by {name}"\n'
        f"    level: float = swept(0.5, over=(0.25, 0.75), le=1)\n{extra}"
        f"    def stops(self, layer):\n        return layer.all()\n"
    )


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package of one module: its dist-info folder and the module, in a folder on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(package: str, text: str, *entry_points: str, version: str = "1.2") -> Path:
        about = tmp_path / f"{package}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (about / "entry_points.txt").write_text("\n".join(("[eebench.policies]", *entry_points, "")))
        module = tmp_path / f"{package}.py"
        module.write_text(text)
        installed_policies._named.cache_clear()
        return module

    yield install
    installed_policies._named.cache_clear()
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def refused(name: str) -> str:
    with pytest.raises(EEBenchError) as error:
        find_policy(name)
    assert "\n" not in error.value.message
    assert error.value.message.endswith(".")
    return error.value.message


def eebench(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def warnings(result: Result) -> list[str]:
    return [line.removeprefix("Warning: ") for line in result.stderr.splitlines() if line.startswith("Warning: ")]


class TestFound:
    def test_as_a_class(self, install: Install) -> None:
        install("sure_things", HEADER + a_class("SureThing") + a_class("Other"), "sure-thing = sure_things:SureThing")
        policy = find_policy("sure-thing")
        assert issubclass(policy, ExitPolicy)
        assert (policy.__name__, policy.name) == ("SureThing", "sure-thing")

    def test_as_a_module_with_one_policy(self, install: Install) -> None:
        built_on = "from eebench.policies.entropy import Entropy\n"
        install("sure_things", HEADER + built_on + a_class("SureThing"), "sure-thing = sure_things")
        assert find_policy("sure-thing").name == "sure-thing"

    def test_by_the_grammar_of_settings(self, install: Install) -> None:
        install("sure_things", HEADER + a_class("SureThing"), "sure-thing = sure_things")
        shown = [setting.setting() for setting in settings_for(parse_policies(["sure-thing,full"]), 12)]
        assert shown == ["sure-thing:level=0.25", "sure-thing:level=0.75", "full"]
        (setting,) = settings_for(parse_policies(["sure-thing:level=0.3,every=2"]), 12)
        assert setting.params() == {"min_layer": 1, "every": 2, "level": 0.3}

    def test_with_the_hash_of_its_file(self, install: Install) -> None:
        module = install("sure_things", HEADER + a_class("SureThing"), "sure-thing = sure_things")
        policy = find_policy("sure-thing")
        digest = hashlib.sha256(module.read_bytes()).hexdigest()
        module.write_text("# edited while a run goes on")
        assert source_hash(policy) == (False, digest)

    def test_near_a_name_that_is_mistyped(self, install: Install) -> None:
        install("sure_things", HEADER + a_class("SureThing"), "sure-thing = sure_things")
        assert refused("sure-thin").startswith("unknown policy 'sure-thin': did you mean sure-thing?")

    def test_but_not_as_part_of_all(self, install: Install) -> None:
        install("sure_things", HEADER + a_class("SureThing"), "sure-thing = sure_things")
        assert {spec.policy.name for spec in parse_policies(["all"])} == set(builtin_policies())

    def test_only_when_it_is_named(self, install: Install) -> None:
        install("sure_things", HEADER + a_class("SureThing"), "sure-thing = sure_things")
        install("other_things", "raise RuntimeError('imported')", "other-thing = other_things")
        find_policy("entropy")
        find_policy("sure-thing")
        assert "other_things" not in sys.modules


class TestListed:
    def test_apart_with_package_and_version(self, install: Install) -> None:
        install("sure_things", HEADER + a_class("SureThing"), "sure-thing = sure_things", version="3.4.5")
        result = eebench("policies")
        listed = [" ".join(line.split()) for line in result.stdout.splitlines()]
        start = listed.index("installed package kind stops at layer k when parameters settings")
        assert start > listed.index("oracle-stable bound first k from which the top-1 stays the final top-1 1")
        assert listed[start + 1] == "sure-thing sure_things 3.4.5 policy always, by SureThing level (2) 2"
        assert warnings(result) == []
        assert max(map(len, result.stdout.splitlines())) <= 120

    def test_not_at_all_where_there_are_none(self, install: Install) -> None:
        install("empty", "")
        assert "installed" not in eebench("policies").output

    def test_and_described(self, install: Install) -> None:
        module = install("sure_things", HEADER + a_class("SureThing"), "sure-thing = sure_things")
        output = eebench("policies", "show", "sure-thing").output
        assert output.startswith("sure-thing (policy)\nA policy of a package.\n")
        assert "package          sure_things 1.2\n" in [f"{line.rstrip()}\n" for line in output.splitlines()]
        assert str(module) in output.replace("\n", "")
        assert "eebench run --policy sure-thing:level=0.75" in output
        assert "\npackage " not in eebench("policies", "show", "entropy").output

    def test_and_examined(self, install: Install) -> None:
        source = "    source = 'an example'\n"
        install("sure_things", HEADER + a_class("SureThing", source), "sure-thing = sure_things")
        result = eebench("policies", "check", "sure-thing")
        assert result.exit_code == 0, result.output


RAISED = "could not be loaded: {}; mend or uninstall it."
SEVERAL = "could not be loaded: the module defines {}: say which class, as in things:MyPolicy."
NO_POLICY = (
    "could not be loaded: it should be a subclass of eebench.policy.ExitPolicy with a `stops`, or a module with one."
)
POSTPONED = "from __future__ import annotations\n" + HEADER + a_class("Mine", "    p: NoSuchType = 1\n")

BROKEN = [
    ("import no_such", "things", RAISED.format("ModuleNotFoundError: No module named 'no_such'")),
    ("raise SystemExit(3)", "things", RAISED.format("SystemExit: 3")),
    ("class Odd(BaseException): pass\nraise Odd(3)", "things", RAISED.format("Odd: 3")),
    ("class Mute(Exception):\n    def __str__(self): 1 / 0\nraise Mute", "things", RAISED.format("Mute")),
    ("def broken(:", "things:Mine", RAISED.format("SyntaxError: invalid syntax")),
    ("Mine = 3", "things:Yours", RAISED.format("AttributeError: module 'things' has no attribute 'Yours'")),
    (POSTPONED, "things", RAISED.format("PydanticUndefinedAnnotation: name 'NoSuchType' is not defined")),
    ("", "things", SEVERAL.format("no policy")),
    (HEADER + a_class("One") + a_class("Two"), "things", SEVERAL.format("One, Two")),
    ("Mine = 3", "things:Mine", NO_POLICY),
    (HEADER + "class Mine(ExitPolicy): pass", "things:Mine", NO_POLICY),
    (HEADER + a_class("Yours"), "things", "is a policy named yours: its entry point should be named so as well."),
]


class TestBroken:
    @pytest.mark.parametrize(("text", "value", "said"), BROKEN)
    def test_is_a_warning_in_the_list_and_an_error_by_name(
        self, install: Install, text: str, value: str, said: str
    ) -> None:
        install("things", text, f"mine = {value}")
        sentence = f"policy mine of the package things 1.2 ({value}) {said}"
        result = eebench("policies")
        assert result.exit_code == 0
        assert warnings(result) == [sentence]
        assert "confidence" in result.stdout
        assert refused("mine") == sentence

    def test_does_not_hide_the_others(self, install: Install) -> None:
        install("broken", "1 / 0", "broken = broken")
        install("things", HEADER + a_class("Mine"), "mine = things")
        result = eebench("policies")
        assert "things 1.2" in result.stdout
        assert len(warnings(result)) == 1

    def test_sweep_is_a_warning(self, install: Install) -> None:
        sweep = a_class("Mine").replace("(0.25, 0.75)", "lambda n: 1 / 0")
        install("things", HEADER + sweep, "mine = things")
        (warning,) = warnings(eebench("policies"))
        assert warning == (
            "policy mine: the default sweep of level, on a model of 32 layers, raised ZeroDivisionError: division by "
            "zero; mend its `over`."
        )

    def test_parameters_are_a_warning(self, install: Install) -> None:
        raises = "    def model_post_init(self, context):\n        raise KeyError('x')\n"
        install("things", HEADER + a_class("Mine", raises), "mine = things")
        assert warnings(eebench("policies")) == [
            "policy mine of the package things 1.2 (things) could not be described: KeyError: 'x'."
        ]

    def test_an_interrupt_is_no_error_of_the_package(self, install: Install) -> None:
        install("things", "raise KeyboardInterrupt", "mine = things")
        with pytest.raises(KeyboardInterrupt):
            find_policy("mine")


class TestClashes:
    def test_with_a_built_in_policy_the_built_in_one_is_used(self, install: Install) -> None:
        install("things", HEADER + a_class("Entropy"), "entropy = things")
        sentence = (
            "policy entropy comes with things 1.2, and EEBench has that name itself: its class and entry point need "
            "another."
        )
        assert warnings(eebench("policies")) == [sentence]
        named = eebench("policies", "show", "entropy")
        assert warnings(named) == [sentence]
        assert find_policy("entropy") is builtin_policies()["entropy"]
        assert "things" not in sys.modules

    def test_with_a_word_of_the_grammar(self, install: Install) -> None:
        install("things", HEADER + a_class("All"), "all = things")
        assert "EEBench has that name itself" in warnings(eebench("policies"))[0]
        assert len(parse_policies(["all"])) == len(builtin_policies())

    def test_with_another_package_none_is_used(self, install: Install) -> None:
        install("things", HEADER + a_class("Mine"), "mine = things")
        install("others", HEADER + a_class("Mine"), "mine = others", version="0.1")
        sentence = refused("mine")
        assert sentence.startswith("policy mine comes with ")
        assert "things 1.2" in sentence
        assert "others 0.1" in sentence
        assert sentence.endswith("which is meant cannot be told: uninstall one of them.")
        assert warnings(eebench("policies")) == [sentence]

    def test_a_name_that_cannot_be_typed(self, install: Install) -> None:
        install("things", HEADER + a_class("Mine", "    name = '1,5'\n"), "1,5 = things")
        (warning,) = warnings(eebench("policies"))
        assert warning.startswith("policy 1,5 comes with things 1.2, and nobody can type its name")


class TestTheCommandLine:
    def test_lives_with_damaged_metadata(self, install: Install) -> None:
        install("things", HEADER + a_class("Mine"), "mine = things")
        install("damaged", "", "no equals sign")
        result = eebench("policies")
        assert result.exit_code == 0
        (warning,) = warnings(result)
        assert warning.startswith("the entry points of the installed packages could not be read, so none is used: ")
        assert find_policy("entropy").name == "entropy"
        assert refused("mine").startswith("unknown policy 'mine'")

    @pytest.mark.parametrize("arguments", ["['--help']", "['policies', '--help']", "['policies', 'show', 'entropy']"])
    def test_imports_no_package_that_is_not_named(self, install: Install, arguments: str) -> None:
        module = install("things", "raise SystemExit('imported')", "mine = things")
        code = (
            f"import sys\nsys.path.insert(0, {str(module.parent)!r})\nfrom eebench.cli import main\n"
            f"main({arguments}, standalone_mode=False)\n"
            "sys.exit('things' in sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_does_not_even_read_metadata_for_help(self) -> None:
        code = (
            "import sys\nfrom eebench.cli import main\nmain(['--help'], standalone_mode=False)\n"
            "sys.exit('eebench.plugins.installed' in sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
