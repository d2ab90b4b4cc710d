"""`eebench run --dry-run`: what a run would do and cost, with nothing run and no weights loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from eebench.cost import CostModel, cost_model
from eebench.errors import EEBenchError
from eebench.harness import LoadedTask
from eebench.models.loading import ModelSource, auto_class, resolve
from eebench.run import RunPlan
from eebench.spec import settings_for
from eebench.task_traces import cut_into_shards
from eebench.traces.encoding import Encoder
from eebench.traces.prompts import PromptedDocument
from eebench.traces.tracing import PrefixTree


@dataclass(frozen=True)
class Estimate:
    """What tracing one task takes: positions to score, tokens to run, prefixes to read at every layer, and FLOPs."""

    documents: int
    positions: int
    tokens: int
    prefixes: int
    forward: float
    reading: float


def show(plan: RunPlan, console: Console) -> None:
    """Print what a plan would do: models, tasks, documents, settings, estimated cost.

    Raises:
        EEBenchError: a model's configuration or tokenizer cannot be had.
    """
    for name in plan.models:
        model, encoder = _skeleton(resolve(name))
        blocks = _blocks(model)
        costs = cost_model(model, blocks)
        settings = settings_for(plan.specs, len(blocks))
        policies = len({type(setting) for setting in settings})
        console.print(
            f"{name}: {len(blocks)} layers; a read of the head costs {costs.head_to_layer:.2g} layers; "
            f"{len(settings)} settings of {policies} policies"
        )
        table = Table("task", "type", "documents", "positions", "forward", "lens reads", box=None, pad_edge=False)
        total = 0.0
        for task in plan.tasks:
            cost = _estimate(plan, task, encoder, costs)
            total += cost.forward + cost.reading
            counts = (str(cost.documents), str(cost.positions))
            table.add_row(task.name, task.output_type, *counts, _tera(cost.forward), _tera(cost.reading))
        console.print(table)
        console.print(
            f"{_tera(total)} in all, for one pass that serves every setting; tasks traced before cost nothing."
        )
        if any(task.generates for task in plan.tasks):
            console.print("Where the model writes, that is one setting's longest answers: others share what is alike.")
        console.print()
    if plan.metric:
        console.print(f"Quality is measured in {plan.metric.name}.")
        if plan.metric.lacking:
            console.print(f"But {plan.metric.keeps_their_own()}")
    console.print("Nothing was run: leave out --dry-run to run it.")


def _skeleton(source: ModelSource) -> tuple[Any, Encoder]:
    """The model without its weights, and an encoder for its requests."""
    where = str(source.path or source.model_id)
    if where.endswith(".gguf"):
        raise EEBenchError(f"{where}: a plan needs a configuration of its own, which a .gguf file is without.")
    try:
        config = AutoConfig.from_pretrained(where, revision=source.revision)
        tokenizer = AutoTokenizer.from_pretrained(where, revision=source.revision)
        with torch.device("meta"):
            model = auto_class(config).from_config(config)
    except Exception as error:  # whatever a library makes of damaged files
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EEBenchError(f"the configuration of '{source.name}' cannot be had ({said}).") from error
    return model, Encoder(model, tokenizer)


def _blocks(model: Any) -> list[nn.Module]:
    """The blocks by the configured depth: a skeleton cannot be run to see which list is called."""
    depth = model.config.get_text_config(decoder=True).num_hidden_layers
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    as_deep = [module for module in lists if len(module) == depth] or lists
    if not as_deep:
        raise EEBenchError(f"{type(model).__name__} has no list of blocks, so EEBench cannot read its layers.")
    heaviest = max(as_deep, key=lambda module: sum(weight.numel() for weight in module.parameters()))
    return list(heaviest)


def _estimate(plan: RunPlan, task: LoadedTask, encoder: Encoder, costs: CostModel) -> Estimate:
    requests = task.requests(plan.task_options, encoder)
    if task.generates:
        return _estimate_answers(encoder.encode_prompts(requests), costs)
    documents = encoder.encode(requests)
    trees = [PrefixTree(shard) for shard in cut_into_shards(documents)]
    sequences = chain.from_iterable(tree.sequences for tree in trees)
    lengths = [len(source) + len(tokens) for source, tokens in sequences]
    prefixes = sum(len(tree.scored) for tree in trees)
    attended = sum(length * (length + 1) / 2 for length in lengths)
    return Estimate(
        documents=len(documents),
        positions=sum(document.num_positions for document in documents),
        tokens=sum(lengths),
        prefixes=prefixes,
        forward=sum(lengths) * sum(costs.block) + attended * sum(costs.attention),
        reading=prefixes * costs.num_layers * costs.head,
    )


def _estimate_answers(documents: Sequence[PromptedDocument], costs: CostModel) -> Estimate:
    """What decoding one setting takes if no answer ends early; how many ways there are shows only when it is run."""
    prompts = [request.prompt for document in documents for request in document.requests]
    fed = [len(prompt.source) + len(prompt.tokens) for prompt in prompts]
    lengths = [prompt.max_new_tokens for prompt in prompts]
    tokens = sum(fed) + sum(lengths)
    attended = sum((n + length) * (n + length + 1) / 2 for n, length in zip(fed, lengths, strict=True))
    return Estimate(
        documents=len(documents),
        positions=sum(lengths),
        tokens=tokens,
        prefixes=sum(lengths),
        forward=tokens * sum(costs.block) + attended * sum(costs.attention),
        reading=sum(lengths) * costs.num_layers * costs.head,
    )


def _tera(flops: float) -> str:
    return f"{flops / 1e12:.2f} TFLOP"
