"""What a trace is besides its numbers: all that scoring settings on it needs to know of the model and the task.

A manifest lies beside the shards of the documents it is about, so that they can be replayed, checked and shared without
the model. One (model, task) has a manifest for every set of documents it was traced on: another number of documents or
of shots is another set.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eebench.cost import CostModel
from eebench.traces.cache import shard_digest

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class CostNumbers(BaseModel):
    """A cost model as `eebench.cost.CostModel.to_json` writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(min_length=1)
    attention: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...]
    window: tuple[Annotated[int, Field(ge=0, le=2**31)], ...]
    head: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    head_to_layer: Finite
    break_even_layer: Finite

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if not len(self.block) == len(self.attention) == len(self.window):
            raise ValueError("block, attention and window should each have a number per layer")
        for name in ("head_to_layer", "break_even_layer"):
            if not math.isclose(getattr(self, name), getattr(self.model(), name), rel_tol=1e-9):
                raise ValueError(f"{name} does not follow from the other numbers")
        return self

    def model(self) -> CostModel:
        """The cost model."""
        return CostModel(self.block, self.attention, self.window, self.head)


class ShardOf(BaseModel):
    """The documents of a shard: a hash over the tokens of each one's prompts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt_hashes: tuple[Hash, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        """What its file's name begins with."""
        return shard_digest(self.prompt_hashes)


class TraceManifest(BaseModel):
    """Some documents of a (model, task) that have been traced.

    Attributes:
        model: the name users type; `vocab_size` is V.
        documents_hash: a hash of all prompts; only results that share it are compared.
        generates: whether the shards are trees of a generation task.
        metric: the task's own main metric, whichever a run names, `metric_direction` +1 if higher is better, `chance`
            its value for guessing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    vocab_size: int = Field(ge=1)
    cost: CostNumbers
    num_fewshot: int = Field(ge=0)
    chat_template: bool
    generates: bool
    metric: str
    metric_direction: int
    chance: Finite
    documents_hash: Hash
    shards: tuple[ShardOf, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_its_documents(self) -> Self:
        if hash_of_documents(self.prompt_hashes) != self.documents_hash:
            raise ValueError("documents_hash is not that of the documents")
        return self

    @property
    def prompt_hashes(self) -> list[str]:
        """Of all documents, in order."""
        return [one for shard in self.shards for one in shard.prompt_hashes]

    @property
    def num_layers(self) -> int:
        return len(self.cost.block)

    @property
    def file_name(self) -> str:
        """Its file beside the shards."""
        return f"documents-{self.documents_hash[:24]}.json"

    def to_bytes(self) -> bytes:
        """Its file's content."""
        return (self.model_dump_json(indent=1) + "\n").encode()


def hash_of_documents(prompt_hashes: Sequence[str]) -> str:
    """The hash that stands for documents with these prompts, in this order."""
    return hashlib.sha256("\n".join(prompt_hashes).encode()).hexdigest()


def manifests_in(folder: Path) -> list[TraceManifest]:
    """The manifests of a cached trace whose files can be read, those of most documents first."""
    found = [manifest for path in sorted(folder.glob("documents-*.json")) for manifest in _read(path)]
    return sorted(found, key=lambda manifest: -len(manifest.prompt_hashes))


def _read(path: Path) -> Iterable[TraceManifest]:
    try:
        yield TraceManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # removed meanwhile, or of another version: the next run writes it anew
        return
