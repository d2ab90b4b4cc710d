"""`eebench policies new`: what it writes works as it stands, and what it cannot write it does not begin."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eebench.cli.policies import policies as group
from eebench.plugins.registry import load_policy_file


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def new(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["new", *arguments])


def refused(*arguments: str) -> str:
    """The sentence that refuses, when nothing was written."""
    before = sorted(Path().rglob("*"))
    result = new(*arguments)
    assert result.exit_code == 2
    assert sorted(Path().rglob("*")) == before
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    return result.output.removeprefix("Error: ").rstrip("\n")


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


class TestWhatIsWritten:
    def test_is_a_policy_named_after_its_module(self) -> None:
        assert new("my_policy").exit_code == 0
        policy = load_policy_file("my_policy.py")
        assert (policy.__name__, policy.name, policy.kind) == ("MyPolicy", "my-policy", "policy")

    @pytest.mark.parametrize(
        ("module", "class_name", "name"),
        [
            ("sure", "Sure", "sure"),
            ("top_2", "Top2", "top-2"),
            ("a_b_test", "ABTest", "a-b-test"),
            ("_hidden", "Hidden", "hidden"),
            ("MyPolicy", "MyPolicy", "my-policy"),
        ],
    )
    def test_has_the_name_that_was_given(self, module: str, class_name: str, name: str) -> None:
        assert new(module).exit_code == 0
        policy = load_policy_file(f"{module}.py")
        assert (policy.__name__, policy.name) == (class_name, name)

    @pytest.mark.parametrize("module", ["my_policy", "top_2"])
    def test_passes_its_own_test(self, module: str) -> None:
        new(module)
        done = pytest_in(Path(), f"test_{module}.py")
        assert done.returncode == 0, done.stdout
        assert re.search(r"^16 passed", done.stdout, re.MULTILINE)

    def test_passes_it_whatever_way_tests_are_imported(self, tmp_path: Path) -> None:
        new("my_policy", "--output", "package")
        Path("package/__init__.py").touch()
        for mode in ("prepend", "importlib"):
            done = pytest_in(tmp_path, f"--import-mode={mode}", "package")
            assert done.returncode == 0, done.stdout

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [(">= self.threshold", "> 1.1 * self.threshold"), ("layer.previous.top1", "layer.top1"), ("& (", "| (")],
    )
    def test_fails_its_test_when_it_is_changed_and_the_rule_is_not(self, right: str, wrong: str) -> None:
        new("my_policy")
        path = Path("my_policy.py")
        assert right in path.read_text()
        path.write_text(path.read_text().replace(right, wrong))
        assert pytest_in(Path(), "test_my_policy.py").returncode == 1

    def test_passes_the_entry_exam(self) -> None:
        new("my_policy")
        result = CliRunner().invoke(group, ["check", "my_policy.py"])
        assert result.exit_code == 0, result.output

    def test_is_a_screenful_that_imports_the_protocol_only(self) -> None:
        new("my_policy")
        text = Path("my_policy.py").read_text()
        assert len(text.splitlines()) <= 20
        assert re.findall(r"^(?:from|import) (\S+)", text, re.MULTILINE) == ["eebench.policy"]
        assert not re.search(r"^(?:from|import) tests", Path("test_my_policy.py").read_text(), re.MULTILINE)

    def test_has_lines_of_an_editors_width(self) -> None:
        new("a_policy_with_a_rather_long_name")
        written = [path.read_text() for path in Path().glob("*.py")]
        assert max(len(line) for text in written for line in text.splitlines()) <= 120

    def test_is_what_the_guide_for_contributors_shows(self) -> None:
        new("my_policy")
        guide = Path(__file__).parents[1] / "CONTRIBUTING.md"
        assert f"```python\n{Path('my_policy.py').read_text()}```" in guide.read_text(encoding="utf-8")

    def test_goes_to_the_folder_that_is_named(self) -> None:
        assert new("my_policy", "-o", "some/where").exit_code == 0
        assert sorted(path.name for path in Path("some/where").iterdir()) == ["my_policy.py", "test_my_policy.py"]


class TestWhatIsSaid:
    def test_is_what_to_do_next(self) -> None:
        commands = [line.partition("#")[0].strip() for line in new("my_policy").output.splitlines() if "#" in line]
        assert commands == [
            "pytest ./test_my_policy.py",
            "eebench policies check ./my_policy.py",
            "eebench policies check ./my_policy.py --score",
            "eebench run -p all,./my_policy.py",
        ]

    def test_can_be_pasted_into_a_shell(self) -> None:
        assert "eebench policies check './my policies/my_policy.py'" in new("my_policy", "-o", "my policies").output


class TestRefused:
    @pytest.mark.parametrize("name", ["my-policy", "2nd", "a b", "", "_", "_1", "größe", "a.b"])
    def test_what_is_no_identifier(self, name: str) -> None:
        assert refused("--", name) == (
            f"'{name}' cannot be the name of a module: take letters, digits and _, as in my_policy."
        )

    @pytest.mark.parametrize("name", ["class", "lambda", "none"])
    def test_a_word_of_python(self, name: str) -> None:
        assert refused(name) == f"'{name}' is a word of Python's own: take another name, as in my_{name}."

    @pytest.mark.parametrize(
        ("module", "name"),
        [("entropy", "entropy"), ("oracle_stable", "oracle-stable"), ("Full", "full"), ("all", "all")],
    )
    def test_a_name_that_is_taken(self, module: str, name: str) -> None:
        assert refused(module) == (
            f"'{module}' would be the policy {name}, a name that EEBench has already: take another name, as in "
            f"my_{module}."
        )

    def test_a_class_of_the_protocol(self) -> None:
        assert "would be the class ExitPolicy, which eebench.policy has as well" in refused("exit_policy")

    @pytest.mark.parametrize("name", ["json", "numpy", "torch"])
    def test_a_module_that_it_would_hide(self, name: str) -> None:
        assert refused(name) == f"'{name}' is a module that is installed here: take another name, as in my_{name}."

    @pytest.mark.parametrize("there", ["my_policy.py", "test_my_policy.py"])
    def test_a_file_that_is_there(self, there: str) -> None:
        Path(there).write_text("of mine")
        assert refused("my_policy") == f"{there} is there already: take another name or folder."
        assert Path(there).read_text() == "of mine"

    def test_a_folder_that_is_none(self) -> None:
        Path("file").touch()
        assert refused("my_policy", "-o", "file") == "file is there already: take another name or folder."
        assert refused("my_policy", "-o", "file/below") == "file/below cannot be written to: Not a directory."

    def test_a_disk_that_is_full_leaves_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        really_open = Path.open

        def full(path: Path, *arguments: str, **options: str) -> object:
            if path.name.startswith("test_"):
                raise OSError(28, "No space left on device")
            return really_open(path, *arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", full)
        assert refused("my_policy") == ". cannot be written to: No space left on device."
