"""Answers that were decoded by execution, with blocks really skipped: the only way to other KV modes than `full`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from eebench.generation.answers import Answers
from eebench.generation.execution import Execution, ExecutionMode, Executor
from eebench.metrics import TaskScorer
from eebench.models.batching import padded_batches
from eebench.models.blocks import LayerReader
from eebench.policy import ExitPolicy
from eebench.replaying import Decisions
from eebench.traces.prompts import Prompt, PromptedDocument, PromptedRequest, StopRule, position_keys
from eebench.traces.trace import Trace
from eebench.traces.tracing import READ_AT_ONCE


class ExecutedAnswers:
    """Answers of a generation task, each setting decoded by itself under one KV mode."""

    generates = True

    def __init__(
        self,
        executor: Executor,
        kv_mode: ExecutionMode,
        documents: Sequence[PromptedDocument],
        full_trace: Trace,
        task: TaskScorer,
        text: Callable[[int, tuple[int, ...]], str],
        stop: StopRule,
    ) -> None:
        """
        Args:
            full_trace: the positions of the full model's own answers.
            text: what the tokens of an answer to a request say.
        """
        self._executor, self._kv_mode, self._stop = executor, kv_mode, stop
        self._documents, self._task, self._text = documents, task, text
        self.full_trace = full_trace

    def answers(self, policy: ExitPolicy) -> Answers:
        """Execute a setting.

        Raises:
            EEBenchError: the setting cannot be executed, or does not go with the KV mode.
        """
        executions = [
            self._executor.execute(asked.prompt, policy, self._stop, keys, self._kv_mode)
            for asked, keys in zip(self._requests, self._keys, strict=True)
        ]
        exits = np.concatenate([execution.exit_layer for execution in executions])
        if self._kv_mode == "verify":  # early exits only draft: the check runs every block on every token
            exits = np.full_like(exits, self.full_trace.num_layers)
        decisions = Decisions(exits, np.concatenate([execution.lens_reads for execution in executions]))
        trace = self._trace(executions)
        texts = [self._text(request, execution.tokens) for request, execution in enumerate(executions)]
        flops = [np.full(len(made.tokens), made.flops / len(made.tokens)) for made in executions]
        return Answers(
            trace, decisions, trace.target == trace.final_top1, np.concatenate(flops), self._task.grouped(texts)
        )

    @cached_property
    def _requests(self) -> list[PromptedRequest]:
        return [asked for document in self._documents for asked in document.requests]

    @cached_property
    def _keys(self) -> list[NDArray[np.uint64]]:
        return [
            position_keys(document.hash, asked.index, asked.prompt.max_new_tokens)
            for document in self._documents
            for asked in document.requests
        ]

    def _trace(self, executions: Sequence[Execution]) -> Trace:
        """The positions decided, with what the full model, all K/V exact, says there; its other layers are not read."""
        prompts = [asked.prompt for asked in self._requests]
        lengths = [len(execution.tokens) for execution in executions]
        final = full_model_says(self._executor.reader, prompts, [execution.tokens for execution in executions])
        top1 = np.full((self.full_trace.num_layers, len(final)), -1, dtype=np.int32)
        top1[-1] = final
        start = [len(prompt.source) + len(prompt.tokens) for prompt in prompts]
        return replace(
            self.full_trace,
            statistics={"top1": top1},
            target_logprob=np.broadcast_to(np.float32(np.nan), top1.shape),
            final_divergence=np.broadcast_to(np.float32(np.nan), top1.shape),
            target=np.concatenate([np.array(execution.tokens, dtype=np.int32) for execution in executions]),
            position=np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
            length=np.repeat([prompt.max_new_tokens for prompt in prompts], lengths),
            context=np.concatenate([np.arange(n, n + length) for n, length in zip(start, lengths, strict=True)]),
            key=np.concatenate([keys[:length] for keys, length in zip(self._keys, lengths, strict=True)]),
            request=np.repeat(np.arange(len(prompts), dtype=np.int32), lengths),
        )


def full_model_says(
    reader: LayerReader, prompts: Sequence[Prompt], answers: Sequence[tuple[int, ...]]
) -> NDArray[np.int32]:
    """The full model's most probable token at every position of given answers, in order. [positions]"""
    sequences = [(p.source, p.tokens + answer[:-1]) for p, answer in zip(prompts, answers, strict=True)]
    says: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)] * len(prompts)
    for group, input_ids, source in padded_batches(sequences, None, reader.device):
        lengths = [len(answers[number]) for number in group]
        starts = [len(prompts[number].tokens) - 1 for number in group]
        columns = np.concatenate([np.arange(start, start + n) for start, n in zip(starts, lengths, strict=True)])
        rows = np.repeat(np.arange(len(group)), lengths)
        at = (torch.from_numpy(places).to(reader.device) for places in (rows, columns))
        last = reader.states(input_ids, *at, *source)[-1]
        top1 = [reader.logits(some).argmax(dim=-1) for some in torch.split(last, READ_AT_ONCE)]
        tokens = torch.cat(top1).cpu().numpy().astype(np.int32)
        says_of = np.split(tokens, np.cumsum(lengths)[:-1])
        for number, own in zip(group, says_of, strict=True):
            says[number] = own
    return np.concatenate(says)
