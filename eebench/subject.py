"""A model ready to be measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from eebench.cost import CostModel, cost_model
from eebench.progress import Progress, Silent

if TYPE_CHECKING:
    from eebench.generation.execution import Executor
    from eebench.generation.tree_runner import TreeRunner
    from eebench.models.blocks import LayerReader
    from eebench.models.loading import LoadedModel, LoadOptions
    from eebench.traces.encoding import Encoder

HALF_LAYERS = "by half layers"
"""What is added to the name of a model that is read after each block's attention as well."""


@dataclass(frozen=True)
class Subject:
    """A model, how its layers are read, how its requests are encoded, and what its blocks cost."""

    loaded: LoadedModel
    reader: LayerReader
    encoder: Encoder
    cost: CostModel

    @cached_property
    def runner(self) -> TreeRunner:
        """Runs the trees of generation tasks; how it can is tried out the first time it is needed."""
        from eebench.generation.tree_runner import TreeRunner

        return TreeRunner(self.reader)

    @cached_property
    def executor(self) -> Executor:
        """Really skips blocks.

        Raises:
            EEBenchError: blocks of this architecture cannot be skipped while it decodes.
        """
        from eebench.generation.execution import Executor

        return Executor(self.reader, self.cost)

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens the head tells apart."""
        head: Any = self.loaded.model.get_output_embeddings()
        return int(head.weight.shape[0])


def load_subject(name: str, options: LoadOptions | None = None, progress: Progress | None = None) -> Subject:
    """Load a model, find its layers, and check that they are read exactly.

    Raises:
        EEBenchError: the model cannot be had, or cannot be read.
    """
    from eebench.models.blocks import LayerReader
    from eebench.models.loading import load_model
    from eebench.traces.encoding import Encoder

    with (progress or Silent()).stage(f"Loading {name}"):
        loaded = load_model(name, options)
        encoder = Encoder(loaded.model, loaded.tokenizer)
        if options and options.half_layers:
            return _by_half_layers(loaded, encoder)
        reader = LayerReader(loaded.model)
        return Subject(loaded, reader, encoder, cost_model(loaded.model, list(reader.blocks)))


def _by_half_layers(loaded: LoadedModel, encoder: Encoder) -> Subject:
    """The model read on the finer grid: to whoever compares results, another model."""
    from eebench.models.half_layers import HalfLayerReader

    reader = HalfLayerReader(loaded.model)
    apart = replace(loaded, name=f"{loaded.name} {HALF_LAYERS}", model_id=f"{loaded.model_id} {HALF_LAYERS}")
    return Subject(apart, reader, encoder, reader.half_costs(cost_model(loaded.model, list(reader.blocks))))
