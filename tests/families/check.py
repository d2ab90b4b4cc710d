"""Whether EEBench reads a type exactly: at L, at every k, padded and batched."""

from __future__ import annotations

import copy
import gc
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from eebench.cost import cost_model
from eebench.errors import EEBenchError
from eebench.generation.tree_runner import TreeRunner
from eebench.model_check import tail_operations, why_not_executed
from eebench.models.blocks import LayerReader
from eebench.traces.tracing import EncodedDocument, EncodedRequest, Window, trace_documents
from tests.families.shrink import small_model

TOLERANCE = 1e-5
"""Largest difference from the cut model, relative to its largest logit."""
TRACE_TOLERANCE = 1e-4
"""Largest difference of a log-probability between batches, in nats."""


@dataclass(frozen=True)
class Checked:
    """What came of one type.

    Attributes:
        verdict: `exact`, `refused` (by EEBench, in the words of `reason`), `not built` or `wrong`.
        path: where its blocks lie; `tail` what its lens runs after them.
        error: the largest difference from the cut models, relative to the largest logit.
        shares: whether its K/V are shared along a tree.
        executes: whether its blocks can be skipped while it decodes.
    """

    model_type: str
    verdict: str
    reason: str = ""
    path: str = ""
    tail: tuple[str, ...] = field(default=())
    error: float = float("nan")
    shares: bool = False
    executes: bool = False


def check(model_type: str) -> Checked:
    """Build a small model of a type and compare everything EEBench reads with the model itself."""
    try:
        model = small_model(model_type)
    except Exception as error:  # whatever a model's own code raises
        return Checked(model_type, "not built", _said(error))
    try:
        return _compared(model_type, model)
    except EEBenchError as error:
        return Checked(model_type, "refused", error.message)
    except Exception as error:
        return Checked(model_type, "wrong", _said(error))
    finally:
        gc.collect()


def _compared(model_type: str, model: Any) -> Checked:
    reader = LayerReader(model)
    vocab = model.config.get_text_config(decoder=True).vocab_size
    torch.manual_seed(1)
    input_ids = torch.randint(2, vocab, (2, 9))
    rows, columns = torch.arange(2).repeat_interleave(9), torch.arange(9).repeat(2)
    states = reader.states(input_ids, rows, columns)
    errors = []
    for k in range(1, reader.num_layers + 1):
        own = cut(model, reader.path, k)(input_ids=input_ids, use_cache=False).logits.flatten(0, 1).detach().float()
        errors.append(float((reader.logits(states[k - 1]) - own).abs().max() / own.abs().max()))
    error = max(errors)
    facts = {"path": reader.path, "tail": tail_operations(reader), "error": error}
    if not error <= TOLERANCE:
        return Checked(model_type, "wrong", f"off by {error:.1e} at layer {int(np.argmax(errors)) + 1}", **facts)
    between = _between_batches(reader, vocab)
    if not between <= TRACE_TOLERANCE:
        return Checked(model_type, "wrong", f"padding changes log-probabilities by {between:.1e}", **facts)
    costs = cost_model(model, list(reader.blocks))
    decoding = {"shares": TreeRunner(reader).shares, "executes": not why_not_executed(reader, costs)}
    return Checked(model_type, "exact", "", **facts, **decoding)


def cut(model: Any, path: str, k: int) -> Any:
    """The model with its block list cut at k."""
    shorter = copy.deepcopy(model)
    *parents, name = path.split(".")
    parent = shorter.get_submodule(".".join(parents))
    setattr(parent, name, nn.ModuleList(parent.get_submodule(name)[:k]))
    return shorter


def _between_batches(reader: LayerReader, vocab: int) -> float:
    """The largest difference between log-probabilities traced one by one and padded together."""
    rng = np.random.default_rng(2)
    documents = []
    for number, length in enumerate((9, 5, 7)):
        tokens = tuple(int(token) for token in rng.integers(2, vocab, length))
        windows = (Window(tokens[:-1], tokens[-3:]),)
        documents.append(EncodedDocument(number, str(number), (EncodedRequest(0, windows),)))
    single = trace_documents(reader, documents, batch_size=1).target_logprob
    padded = trace_documents(reader, documents, batch_size=8).target_logprob
    return float(np.abs(single - padded).max())


def _said(error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{type(error).__name__}: {first[:160]}"
