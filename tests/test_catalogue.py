"""The catalogue: what is in it is well-formed, and a broken one is told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from eebench.errors import EEBenchError
from eebench.models.catalogue import CatalogueEntry, catalogue, read_catalogue

WHOLE = """
[tiny]
id = "owner/tiny"
family = "llama"
parameters = "1M"
layers = 2
hidden = 8
vocab = 16
licence = "MIT"
gated = false
"""


def test_it_knows_at_least_60_models_each_under_one_name() -> None:
    ids = [entry.id for entry in catalogue().values() if not entry.adapter_on]
    assert len(ids) >= 60
    assert len({model_id.lower() for model_id in ids}) == len(ids)


def test_names_are_lower_case_and_cannot_be_taken_for_hub_ids_or_paths() -> None:
    for alias in catalogue():
        assert alias == alias.lower()
        assert not set(alias) & set("/@ ,~\\")
        assert not alias.startswith(".")
        assert not alias.endswith(".gguf")


def test_the_models_of_the_documentation_are_there() -> None:
    assert {"smollm2-135m", "gemma3-270m", "llama2-7b", "opt-6.7b"} <= set(catalogue())


def test_every_model_states_its_licence() -> None:
    assert all(entry.licence.strip() for entry in catalogue().values())


def test_two_models_are_carried_by_packages_of_a_fixed_version() -> None:
    wheels = {alias: entry.wheel for alias, entry in catalogue().items() if entry.wheel}
    assert set(wheels) == {"smollm2-135m", "gemma3-270m"}
    assert all("==" in requirement for wheel in wheels.values() for requirement in wheel.requirements)


def test_an_entry_reads_as_written(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(WHOLE)
    assert read_catalogue(path) == {
        "tiny": CatalogueEntry(
            id="owner/tiny",
            family="llama",
            parameters="1M",
            layers=2,
            hidden=8,
            vocab=16,
            licence="MIT",
            gated=False,
        )
    }


WHEEL = '[tiny.wheel]\nrequirements = ["a==1"]\nfile = "a.gguf"\nquantisation = "Q4"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tiny", "is not TOML"),
        (WHOLE + WHOLE, "is not TOML"),
        ('tiny = "owner/tiny"', "of an entry is wrong"),
        (WHOLE.replace("owner/tiny", "tiny"), "id of an entry is wrong"),
        (WHOLE.replace("1M", "one million"), "parameters of an entry is wrong"),
        (WHOLE.replace("layers = 2", "layers = 0"), "layers of an entry is wrong"),
        (WHOLE.replace('licence = "MIT"\n', ""), "licence of an entry is wrong"),
        (WHOLE + 'colour = "red"', "colour of an entry is wrong"),
        (WHOLE + WHEEL, "wheel.sha256 of an entry is wrong"),
        (WHOLE + WHEEL + 'sha256 = "123"', "wheel.sha256 of an entry is wrong"),
    ],
)
def test_a_broken_catalogue_is_told_in_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    with pytest.raises(EEBenchError, match=says):
        read_catalogue(path)
