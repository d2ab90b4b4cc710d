"""Reading any architecture: find the block list, capture the states after each block, read them through the tail.

In an encoder-decoder model the blocks are the decoder's; the encoder always runs at full depth.

The tail is the model's own `forward` with its block list swapped for one stub block that returns a given state, so the
final norm, projections, head, scaling and soft-capping are the model's own, whatever its family does.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from eebench.errors import EEBenchError

SELF_CHECK_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8, torch.bfloat16: 6e-2, torch.float16: 1e-2}
"""Largest difference allowed between lens at L and logits, relative to the largest logit: kernels may round
differently for another batch shape, an architecture read wrongly is off by far more."""

PROBE_LENGTH = 4
"""Tokens of the sequences a model is tried on when it is loaded."""


class LayerReader:
    """A causal or encoder-decoder LM whose every layer can be read.

    Attributes:
        model: the model as loaded; never changed.
        path: where its block list lies, e.g. `model.layers`.
        num_layers: L.

    Raises:
        EEBenchError: no block list was found, or the self-check failed: the lens at L is not the model's logits.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        config: Any = model.config
        self.has_encoder = bool(config.is_encoder_decoder)
        self.path, self.blocks = find_blocks(model)
        self.num_layers = len(self.blocks)
        self.device = next(model.parameters()).device
        self._stub = _StubBlock(self.blocks[0])
        self._tail = with_blocks(model, self.path, [self._stub])
        try:
            self.self_check_error = self._self_check()
        except EEBenchError:
            raise
        except Exception as error:  # any model's own code, run on a stub it does not expect
            raise EEBenchError(
                f"{type(model).__name__} cannot be read layer by layer ({said(error)}): its forward needs more of its "
                f"blocks than the state they hand on."
            ) from error

    @torch.inference_mode()
    def states(
        self,
        input_ids: Tensor,
        rows: Tensor,
        columns: Tensor,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> list[Tensor]:
        """The hidden states after each block at chosen positions.

        The forward pass ends at the last block: the head is read only where it counts.

        Args:
            input_ids: right-padded token ids. [batch, length]
            rows: which sequence each wanted position lies in. [positions]
            columns: which token of it. [positions]
            source: what the encoder of an encoder-decoder model reads; `input_ids` are the decoder's. [batch, length]
            source_mask: 1 where `source` is not padding. [batch, length]

        Returns:
            One tensor per layer, [positions, hidden].
        """
        return self.captured(_inputs(input_ids, source, source_mask), rows, columns)

    @torch.inference_mode()
    def captured(self, inputs: Mapping[str, Any], rows: Tensor, columns: Tensor) -> list[Tensor]:
        """As `states`, for any arguments of the model's own forward. Per layer, [positions, hidden]."""
        return self.captured_with_grad(inputs, rows, columns)

    def captured_with_grad(self, inputs: Mapping[str, Any], rows: Tensor, columns: Tensor) -> list[Tensor]:
        """As `captured`, differentiable."""
        captured: list[Tensor] = []

        def capture(_block: nn.Module, _args: Any, output: Any) -> None:
            state = state_of(output)
            if state.ndim != 3:
                raise EEBenchError(
                    f"{type(self.model).__name__} hands a state of shape {list(state.shape)} from block to block, not "
                    f"[batch, length, hidden]: it keeps several residual streams, which EEBench cannot read."
                )
            captured.append(state[rows, columns])
            if len(captured) == len(self.blocks):
                raise _AllCaptured

        with _hooked(self.blocks, capture):
            try:
                self.model(**inputs)
            except _AllCaptured:
                return captured
        raise EEBenchError(
            f"this model called {len(captured)} of its {len(self.blocks)} blocks at '{self.path}' in one forward pass; "
            f"EEBench can only read models that call each block once, in order."
        )

    @torch.inference_mode()
    def logits(self, state: Tensor) -> Tensor:
        """The lens: the model's own tail on states after some block, float32. [positions, hidden] -> [positions, V]"""
        return self.logits_with_grad(state)

    def logits_with_grad(self, state: Tensor) -> Tensor:
        """As `logits`, differentiable."""
        self._stub.state = state.unsqueeze(1)
        dummy_ids = torch.zeros(len(state), 1, dtype=torch.long, device=state.device)
        dummy = _inputs(dummy_ids, dummy_ids if self.has_encoder else None, None)
        if self.has_encoder:  # any encoder output will do: the stub looks at none
            dummy["encoder_outputs"] = BaseModelOutput(last_hidden_state=torch.zeros_like(self._stub.state))
        logits: Tensor = self._tail(**dummy).logits
        return logits[:, 0].float()

    def tail_modules(self) -> tuple[str, ...]:
        """Names of the modules that the lens runs after the blocks, in order."""
        called: list[str] = []
        handles = [
            module.register_forward_hook(lambda *_call, name=name: called.append(name))
            for name, module in self.model.named_modules()
            if not name.startswith(f"{self.path}.") and not list(module.children())
        ]
        handles.append(self._stub.register_forward_hook(lambda *_call: called.clear()))
        try:
            self.logits(
                torch.zeros(1, self._hidden_size, device=self.device, dtype=next(self.model.parameters()).dtype)
            )
        finally:
            for handle in handles:
                handle.remove()
        return tuple(dict.fromkeys(called))

    @torch.inference_mode()
    def _self_check(self) -> float:
        """How far the lens at L is from the model's logits, relative to the largest logit."""
        probe = probe_inputs(self.model)
        own = self._logits_and_output_shape(probe)
        if not bool(torch.isfinite(own).all()):
            raise EEBenchError("the model's own logits are not finite numbers: its weights are damaged.")
        self._check_causality(probe, own)
        batch, length, _vocab = own.shape
        rows = torch.arange(batch, device=self.device).repeat_interleave(length)
        columns = torch.arange(length, device=self.device).repeat(batch)
        source = (probe["input_ids"], probe["attention_mask"]) if self.has_encoder else ()
        ids = probe["decoder_input_ids" if self.has_encoder else "input_ids"]
        last = self.states(ids, rows, columns, *source)[-1]
        self._hidden_size = last.shape[-1]
        lens = self.logits(last)
        error = difference(lens, own.flatten(0, 1))
        if not error <= self.tolerance:
            raise EEBenchError(
                f"self-check failed for {type(self.model).__name__}: the lens at the last layer differs from the "
                f"model's own logits by {error:.1e} of the largest logit (allowed {self.tolerance:.0e}), so EEBench "
                f"cannot read this architecture and refuses to print numbers for it."
            )
        return error

    @property
    def extras_of_a_block(self) -> int | None:
        """What a block returns besides the state: so many values in a tuple, or None if it returns the state alone."""
        return self._stub.extras

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains in the model's dtype, relative to the largest logit."""
        return SELF_CHECK_TOLERANCE.get(next(self.model.parameters()).dtype, 6e-2)

    def _check_causality(self, probe: dict[str, Any], own: Tensor) -> None:
        """Padding and shared prefixes rest on it: no token may change what is predicted before it."""
        name = "decoder_input_ids" if self.has_encoder else "input_ids"
        changed = probe[name].clone()
        changed[:, -1] = probe[name][:, 0]
        logits: Tensor = self.model(**{**probe, name: changed}).logits.float()
        if not difference(logits[:, :-1], own[:, :-1]) <= self.tolerance:
            raise EEBenchError(
                f"{type(self.model).__name__} is not causal as it is configured: a later token changes what is "
                f"predicted before it, so it cannot be scored left to right (an encoder may need is_decoder=true)."
            )

    def _logits_and_output_shape(self, inputs: dict[str, Any]) -> Tensor:
        """The model's own logits, noting on the way what a block returns, so that the stub can return the same."""

        def note(_block: nn.Module, _args: Any, output: Any) -> None:
            self._stub.extras = len(output) - 1 if isinstance(output, tuple | list) else None

        with _hooked(self.blocks[:1], note):
            logits: Tensor = self.model(**inputs).logits
        return logits.float()


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest of `other`."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=1e-6))


def find_blocks(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The block list of a language model and the path to it.

    Of the module lists whose members one forward pass calls once each, in order, it is the one with the most weights.
    Names and configurations say too little: a list is called `h`, `layers`, `block` or `blocks`, and the configured
    number of layers is sometimes the encoder's, sometimes a picture encoder's.

    Raises:
        EEBenchError: there is no such list, or the model cannot run on token ids alone.
    """
    lists = {path: module for path, module in model.named_modules() if _is_block_list(module)}
    called = _calls(model, lists)
    whole = [path for path, module in lists.items() if called[path] == list(range(len(module)))]
    if not whole:
        raise EEBenchError(
            f"{type(model).__name__} has no list of blocks that a forward pass calls once each, in order (it may loop "
            f"over them or leave some out), so EEBench cannot read its layers."
        )
    path = max(whole, key=lambda path: (_weights(lists[path]), -len(path)))
    return path, lists[path]


def _is_block_list(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList) and len(module) > 0 and _weights(module) > 0


def _weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@torch.inference_mode()
def _calls(model: nn.Module, lists: Mapping[str, Any]) -> dict[str, list[int]]:
    """Which members of each list a forward pass calls, in order."""
    called: dict[str, list[int]] = {path: [] for path in lists}
    handles = [
        member.register_forward_hook(lambda *_call, path=path, number=number: called[path].append(number))
        for path, members in lists.items()
        for number, member in enumerate(members)
    ]
    try:
        model(**probe_inputs(model))
    except Exception as error:  # any model's own code
        raise EEBenchError(
            f"{type(model).__name__} cannot be run on token ids alone ({said(error)}), so EEBench cannot read its "
            f"layers."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return called


def probe_inputs(model: nn.Module) -> dict[str, Any]:
    """A few token ids that any vocabulary has, as the arguments of the model's own forward."""
    config: Any = model.config
    vocab = config.get_text_config(decoder=True).vocab_size
    device = next(model.parameters()).device
    input_ids = torch.arange(PROBE_LENGTH * 2, device=device).mul(37).add(11).remainder(vocab).view(2, PROBE_LENGTH)
    source = (input_ids, torch.ones_like(input_ids)) if config.is_encoder_decoder else (None, None)
    return _inputs(input_ids, *source)


def _inputs(input_ids: Tensor, source: Tensor | None, source_mask: Tensor | None) -> dict[str, Any]:
    """The arguments of a model's own forward; `source` is what an encoder reads, if there is one."""
    if source is None:
        return {"input_ids": input_ids, "use_cache": False}
    return {"input_ids": source, "attention_mask": source_mask, "decoder_input_ids": input_ids, "use_cache": False}


def said(error: Exception) -> str:
    """What an error of a library says, in one line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:120]}"


class _AllCaptured(Exception):
    """Raised from the last block's hook to end a forward pass whose tail nobody needs."""


class _StubBlock(nn.Module):
    """Stands in for all blocks of a tail: returns the state it was given, shaped like a block's output."""

    def __init__(self, real_block: nn.Module) -> None:
        super().__init__()
        self.__dict__["real_block"] = real_block  # not a submodule: the stub has no weights of its own
        self.state: Tensor | None = None
        self.extras: int | None = None

    def forward(self, *_args: Any, **_kwargs: Any) -> Any:
        return self.state if self.extras is None else (self.state, *[None] * self.extras)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:  # some models ask their blocks for an attention type
            return getattr(self.__dict__["real_block"], name)


def with_blocks(model: nn.Module, path: str, blocks: Sequence[nn.Module]) -> nn.Module:
    """A copy of the modules on the way to the block list, all parameters shared, with other blocks in its place."""
    twin = _shallow_copy(model)
    parent = twin
    *ways, last = path.split(".")
    for way in ways:
        child = _shallow_copy(parent._modules[way])
        parent._modules[way] = child
        parent = child
    parent._modules[last] = nn.ModuleList(blocks)
    return twin


def _shallow_copy(module: nn.Module | None) -> nn.Module:
    assert module is not None
    twin = copy.copy(module)
    twin.__dict__["_modules"] = dict(module._modules)
    twin.__dict__.pop("forward", None)  # accelerate's hooks put one there that is bound to the original
    return twin


def state_of(output: Any) -> Tensor:
    """The hidden state in what a block returns."""
    state: Tensor = output[0] if isinstance(output, tuple | list) else output
    return state


@contextmanager
def _hooked(blocks: Any, hook: Any) -> Iterator[None]:
    handles = [block.register_forward_hook(hook) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
