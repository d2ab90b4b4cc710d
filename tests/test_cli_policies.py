"""`eebench policies`: what can be measured, and how each policy decides."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eebench.cli.policies import policies as group
from eebench.plugins.registry import builtin_policies
from eebench.spec import parse_policies, settings_for

FILE = '''
from typing import Literal

from pydantic import Field
from eebench.policy import ExitPolicy, swept

class Mine(ExitPolicy):
    """Never stop [at all]."""

    level: float = swept(0.5, over=(0.25, 0.75), gt=0, lt=1)
    how: Literal["soft", "hard"] = "soft"
    label: str
    margin: float = Field(-1.0, le=0)
    at_least: int = Field(2, gt=1, description="a number of layers")

    def stops(self, layer):
        return layer.none()
'''


def policies(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "my_policy.py"
    path.write_text(FILE)
    return str(path)


def rows(output: str, heading: str = "") -> dict[str, str]:
    """First word of a line -> the rest of it, of the lines after a heading."""
    lines = output.splitlines()
    start = lines.index(heading) + 1 if heading else 0
    words = (line.strip().partition(" ") for line in reversed(lines[start:]))  # of several, the first line counts
    return {first: rest.strip() for first, _space, rest in words if first}


class TestList:
    def test_has_every_policy_with_kind_and_number_of_settings(self) -> None:
        listed = rows(policies().output)
        for name, policy in builtin_policies().items():
            count = len(settings_for(parse_policies([name]), 32))
            assert listed[name].split()[0] == policy.kind
            assert listed[name].split()[-1] == str(count)

    def test_names_rule_and_parameters_with_the_size_of_their_sweep(self) -> None:
        listed = rows(policies().output)
        assert listed["margin"].split(maxsplit=1)[1] == (
            f"{'p(top-1) - p(top-2) at k >= threshold':<58} {'threshold (14)':<28}       14"
        )
        assert "first (5), last (4)" in listed["schedule"]
        assert "threshold (14), normalized " in listed["entropy"]

    def test_says_what_the_numbers_are(self) -> None:
        assert "settings: the default sweep, on a model of 32 layers" in policies().output

    def test_fits_where_it_is_written_to(self) -> None:
        assert max(map(len, policies().output.splitlines())) <= 120


class TestShow:
    def test_describes_rule_parameters_sweeps_and_source(self) -> None:
        lines = [line.rstrip() for line in policies("show", "similarity").output.splitlines()]
        assert lines == [
            "similarity (policy)",
            "Stop once the distributions of successive layers have been close for some looks in a row.",
            "",
            "stops at k when  Jensen-Shannon divergence of k and k-1 <= threshold, in nats, at `patience` looked-at "
            "layers in a row",
            "source           F-PABEE (Gao et al. 2023, arXiv 2305.11916)",
            "default sweep    24 settings on a model of 32 layers",
            f"defined in       {inspect.getfile(builtin_policies()['similarity'])}",
            "",
            "parameters",
            "  threshold  a number, 0 or more; default 0.05: largest divergence that counts",
            "             sweep: 0.0003, 0.0008886, 0.002632, 0.007796, 0.02309, 0.06839, 0.2026, 0.6",
            "  patience   a whole number, 1 or more; default 1: close looks in a row to stop at",
            "             sweep: 1..3",
            "  min_layer  a layer, 1 or more; default 1: first layer at which it may stop",
            "  every      a whole number, 1 or more; default 1: looks at every n-th layer from min_layer on",
            "",
            "example",
            "  eebench run --policy similarity:threshold=0.02309,patience=1",
        ]

    @pytest.mark.parametrize("name", builtin_policies())
    def test_describes_every_built_in_policy(self, name: str) -> None:
        result = policies("show", name)
        assert result.exit_code == 0, result.output
        policy = builtin_policies()[name]
        assert result.output.startswith(f"{name} ({policy.kind})\n")
        assert set(policy.model_fields) <= set(rows(result.output, "parameters"))

    @pytest.mark.parametrize("name", builtin_policies())
    def test_its_example_can_be_run(self, name: str) -> None:
        example = policies("show", name).output.splitlines()[-1].strip()
        command, _space, text = example.rpartition(" ")
        assert command == "eebench run --policy"
        assert len(settings_for(parse_policies([text]), 32)) == 1

    def test_says_what_is_learned(self) -> None:
        parameters = rows(policies("show", "gate").output, "parameters")
        assert parameters["weights"].startswith("learned from calibration documents: per layer")

    def test_layers_are_swept_as_on_a_model_of_32(self) -> None:
        assert rows(policies("show", "static").output)["sweep:"] == "1..32"

    def test_describes_a_policy_in_a_file(self, file: str) -> None:
        result = policies("show", f"{file}:Mine:label=x")
        parameters = rows(result.output, "parameters")
        assert result.output.startswith("mine (policy)\nNever stop [at all].\n")
        assert file in result.output.replace("\n", "")
        assert parameters["level"] == "a number, more than 0 and less than 1; default 0.5"
        assert parameters["how"] == "one of soft, hard; default soft"
        assert parameters["label"] == "a word; to be given"
        assert parameters["margin"] == "a number, 0 or less; default -1"
        assert rows(result.output)["default"].split() == ["sweep", "none"]
        assert parameters["eebench"] == f"run --policy {file}:Mine:label=x"
        assert parameters["at_least"] == "a whole number, more than 1; default 2: a number of layers"

    def test_its_example_has_what_must_be_given(self, file: str) -> None:
        assert policies("show", file).output.splitlines()[-1] == f"  eebench run --policy {file}:label=..."

    def test_describes_several(self) -> None:
        output = policies("show", "full,oracle").output
        assert "full (control)\n" in output
        assert "oracle (bound)\n" in output

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("entrpy", "Error: unknown policy 'entrpy': did you mean entropy?"),
            ("none.py", "Error: no policy file at none.py: give the path of a Python file that exists."),
        ],
    )
    def test_what_is_not_there_is_said_in_a_sentence(self, name: str, sentence: str) -> None:
        result = policies("show", name)
        assert result.exit_code == 2
        assert result.output.startswith(sentence)
        assert result.output.count("\n") == 1


@pytest.mark.parametrize("arguments", ["[]", "['show', 'gate']", "['--help']", "['check', 'margin']", "['new', '1']"])
def test_nothing_heavy_is_imported(arguments: str) -> None:
    code = (
        "import sys\n"
        "from eebench.cli import main\n"
        "from eebench.errors import EEBenchError\n"
        "try:\n"
        f"    main(['policies', *{arguments}], standalone_mode=False)\n"
        "except EEBenchError:\n"
        "    pass\n"
        "heavy = {'torch', 'lm_eval', 'transformers', 'datasets', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
