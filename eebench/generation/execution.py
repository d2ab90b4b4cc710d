"""Execute: decode greedily and really skip the blocks above each exit, with a KV cache, one sequence at a time.

Under KV mode `full` an answer is what replay says it is, token for token: K/V that an early exit left out are made up,
exactly, when a later token needs them. The other modes are what has been published instead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from eebench.cost import CostModel
from eebench.errors import EEBenchError
from eebench.generation.execution_check import check_executable, check_mode
from eebench.generation.gates import GatedModel, Skipped
from eebench.generation.stepping import Answer, Drafts
from eebench.models.blocks import LayerReader
from eebench.policy import Bound, ExitPolicy, Ints
from eebench.traces.prompts import Prompt, StopRule

ExecutionMode = Literal["full", "propagate", "copy", "truncate", "verify"]
"""What later tokens see at layers that an earlier token skipped.

`full`: K/V as if nothing had been skipped. `propagate`: the exit state goes through each skipped layer's own K/V
projections (CALM, arXiv 2207.07061). `copy`: the exit layer's K/V (arXiv 2412.01455). `truncate`: the model is cut at
one layer, for the context too. `verify`: `full` drafts tokens, which the whole model checks a few at a time and
corrects (LayerSkip's self-speculative decoding, arXiv 2404.16710), so that the answer is the full model's.
"""

SKIPPED: dict[ExecutionMode, Skipped] = {"propagate": "propagate", "copy": "copy"}


@dataclass(frozen=True)
class Execution:
    """An answer that was decoded, and what that took.

    Attributes:
        tokens: the answer.
        exit_layer: the layer each token was read at, 1..L; in `verify`, L where it is the whole model's own and the
            drafting exit where a draft was accepted. [positions]
        lens_reads: heads read at each position, the one the token is read from included; in `verify` the check's read
            too. [positions]
        flops: of decoding, by the cost model: all blocks and heads that were run, drafts that came to nothing and K/V
            that were made up included, the context's prefill not.
        blocks_run: blocks run on one token, while decoding.
        kv_fills: blocks run on one token only until their K/V were stored.
        heads_read: heads read on one token, while decoding.
        prefill_seconds: for the context but its last token.
        decode_seconds: from the context's last token to the answer's.
        drafted: in `verify`, tokens drafted before each check.
        accepted: in `verify`, how many of them the check kept.
    """

    tokens: tuple[int, ...]
    exit_layer: Ints
    lens_reads: Ints
    flops: float
    blocks_run: int
    kv_fills: int
    heads_read: int
    prefill_seconds: float
    decode_seconds: float
    drafted: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()


class Executor:
    """A model that is decoded with early exits.

    Attributes:
        self_check_error: how far gated, cached decoding was from whole passes, relative to the largest logit.

    Raises:
        EEBenchError: the family cannot be executed, as a try on a few tokens has shown; replay takes it all the same.
    """

    def __init__(self, reader: LayerReader, cost: CostModel) -> None:
        self.reader = reader
        self.cost = cost
        self._gated = GatedModel(reader)
        self.self_check_error = check_executable(reader, self._gated)
        self._fill_flops: dict[Skipped, NDArray[np.float64]] = {}

    @torch.inference_mode()
    def execute(
        self,
        prompt: Prompt,
        policy: ExitPolicy,
        stop: StopRule,
        keys: NDArray[np.uint64],
        kv_mode: ExecutionMode = "full",
        draft_length: int = 4,
    ) -> Execution:
        """Decode the answer to a prompt.

        The context is prefilled at full depth but for its last token, which is the first to be decided.

        Args:
            stop: when the answer ends.
            keys: the seed of the coins at each position the answer may have. [positions]
            draft_length: in `verify`, the most tokens drafted before a check.

        Raises:
            EEBenchError: the policy is a bound, does not go with the KV mode, or raised; or the model does not go with
                the mode.
        """
        if isinstance(policy, Bound):
            raise EEBenchError(
                f"{policy.name} is a bound: it sees the layers to come, so it can be replayed and not executed."
            )
        answer = Answer(self.reader, prompt, policy, stop, keys)
        depth = self._depth(answer, kv_mode)
        self._prepare(kv_mode)
        context = torch.tensor(prompt.tokens, dtype=torch.long, device=self.reader.device)
        begun = self._now()
        self._gated.begin(context, prompt.max_new_tokens, depth, SKIPPED.get(kv_mode, "later"), prompt.source)
        if len(context) > 1:
            self._gated.run(len(context) - 1)
        prefilled = self._now()
        self._gated.ran.clear()
        if kv_mode == "verify":
            self._decode_verified(answer, draft_length)
        else:
            self._decode(answer, depth)
        return self._execution(answer, prefilled - begun, self._now() - prefilled)

    def _depth(self, answer: Answer, kv_mode: ExecutionMode) -> int:
        """How many blocks there are to run."""
        if kv_mode != "truncate":
            return self.reader.num_layers
        if answer.fixed_layer is None:
            raise EEBenchError(
                f"truncate cuts the model at one layer, and {answer.policy.name} stops at several: take static, or "
                f"another KV mode."
            )
        return answer.fixed_layer

    def _prepare(self, kv_mode: ExecutionMode) -> None:
        skipped = SKIPPED.get(kv_mode)
        if skipped is not None and skipped not in self._fill_flops:
            self._fill_flops[skipped] = check_mode(self.reader, self._gated, skipped)

    def _decode(self, answer: Answer, depth: int) -> None:
        while not answer.ended:
            position = answer.position(len(answer.tokens))
            layer, states = self._gated.run(answer.end, position if depth == self.reader.num_layers else None)
            answer.append(position.token(layer, states), layer, position.lens_reads)
            self._gated.put(answer.end - 1, answer.tokens[-1])
        answer.heads_read = sum(answer.lens_reads)

    def _decode_verified(self, answer: Answer, draft_length: int) -> None:
        """Draft with early exits until a token reaches layer L, and with it all drafts; keep those that L agrees on."""
        while not answer.ended:
            drafts = Drafts()
            most = min(draft_length, answer.prompt.max_new_tokens - len(answer.tokens) - 1)
            while True:
                number = len(drafts.tokens)
                position = answer.position(len(answer.tokens) + number)
                drafting = number < most and not answer.would_end(drafts.tokens)
                layer, states = self._gated.run(answer.end + number, position if drafting else None)
                reads = position.lens_reads
                if layer == self.reader.num_layers:
                    break
                drafts.append(position.token(layer, states), layer, reads)
                self._gated.put(answer.end + number, drafts.tokens[-1])
            own = self.reader.logits(states).argmax(dim=-1).tolist()  # [drafts + 1]
            answer.heads_read += sum(drafts.lens_reads) + number + reads
            kept = drafts.agreed_by(own)
            self._gated.forget(answer.end + kept)
            self._gated.put(answer.end + kept, own[kept])
            reads_of = [*(drafted + 1 for drafted in drafts.lens_reads), reads]
            for token, layer, reads in zip(
                own[: kept + 1], [*drafts.exit_layer[:kept], self.reader.num_layers], reads_of, strict=False
            ):
                if not answer.ended:
                    answer.append(token, layer, reads)
            answer.drafted.append(number)
            answer.accepted.append(kept)

    def _execution(self, answer: Answer, prefill_seconds: float, decode_seconds: float) -> Execution:
        ran = self._gated.ran
        layers = np.repeat([layer for layer, _start, _end in ran], [end - start for _layer, start, end in ran])
        seen = np.concatenate([np.arange(start, end) for _layer, start, end in ran]) + 1 + len(answer.prompt.source)
        filled = [layer for layer, _token in self._gated.stored]
        flops = self.cost.single_blocks(layers, seen).sum() + answer.heads_read * self.cost.head
        if filled:
            flops += self._fill_flops["propagate"][filled].sum()
        return Execution(
            tokens=tuple(answer.tokens),
            exit_layer=np.array(answer.exit_layer, dtype=np.int16),
            lens_reads=np.array(answer.lens_reads, dtype=np.int16),
            flops=float(flops),
            blocks_run=len(layers),
            kv_fills=len(filled),
            heads_read=answer.heads_read,
            prefill_seconds=prefill_seconds,
            decode_seconds=decode_seconds,
            drafted=tuple(answer.drafted),
            accepted=tuple(answer.accepted),
        )

    def _now(self) -> float:
        if self.reader.device.type != "cpu":
            torch.accelerator.synchronize(self.reader.device)
        return time.perf_counter()
