"""Requests as tokens, encoded exactly as lm-eval encodes them: by its own model class, caught before it computes."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import handle_non_serializable, hash_string

from eebench.errors import EEBenchError
from eebench.traces.prompts import Prompt, PromptedDocument, PromptedRequest, StopRule, beyond_greedy, eos_tokens
from eebench.traces.tracing import EncodedDocument, EncodedRequest, Window


class Encoder(HFLM):  # type: ignore[misc]
    """lm-eval's own `hf` model, stopped at the point where the tokens are known."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        logging.getLogger("lm_eval.models.huggingface").setLevel(logging.ERROR)  # it warns of what is meant here
        backend = "seq2seq" if model.config.is_encoder_decoder else "causal"
        super().__init__(pretrained=model, tokenizer=tokenizer, backend=backend, batch_size=1)
        self._device = torch.device("cpu")  # of the tokens: lm-eval is not to run the model
        self._caught: list[tuple[list[int], list[int]]] = []
        self._prompt: Prompt | None = None
        self._answer: tuple[int, ...] = ()
        self.stop_rule = StopRule(tokenizer, eos_tokens(model))

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **_kwargs: Any
    ) -> list[tuple[float, bool]]:
        self._caught.extend((context, continuation) for _strings, context, continuation in requests)
        return [(0.0, False)] * len(requests)

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **generation: Any
    ) -> torch.Tensor:
        """lm-eval's call of `generate`: what it is given is the prompt, and what it returns is an answer we have."""
        if asked := beyond_greedy(generation):
            raise EEBenchError(f"it asks for {', '.join(asked)}, and EEBench decodes greedily; leave this task out.")
        tokens = tuple(context[0].tolist())
        # Of an encoder-decoder, lm-eval counts the encoder's tokens into the length that it allows the decoder.
        source, given = ((), tokens) if self.backend == "causal" else (tokens, (self._decoder_start(),))
        assert max_length > len(given)
        self._prompt = Prompt(given, tuple(stop), max_length - len(given), source)
        return torch.tensor([[*given, *self._answer]])

    def _decoder_start(self) -> int:
        """The token that a decoder starts with, as `generate` finds it."""
        places = (self.model.generation_config, self.model.config)
        names = ("decoder_start_token_id", "bos_token_id")
        tokens = (getattr(place, name, None) for name in names for place in places)
        return int(next(token for token in tokens if token is not None))

    def encode_prompts(self, instances: Sequence[Instance]) -> list[PromptedDocument]:
        """The documents that ask for generation, in order, as tokens.

        Raises:
            EEBenchError: the task asks for sampling or beams, or for more tokens than the model can take.
        """
        prompted = []
        for instances_of in _by_document(instances):
            requests = tuple(PromptedRequest(instance.idx, self._prompt_of(instance)) for instance in instances_of)
            first = instances_of[0]
            prompted.append(PromptedDocument(first.doc_id or 0, document_hash(first.doc), requests))
        return prompted

    def text(self, instance: Instance, answer: Sequence[int]) -> str:
        """What lm-eval makes of the tokens of an answer: decoded, and cut where it ends."""
        self._answer = tuple(answer)
        (text,) = HFLM.generate_until(self, [instance], disable_tqdm=True)
        return str(text)

    def _prompt_of(self, instance: Instance) -> Prompt:
        self._prompt = None
        try:
            self.text(instance, ())
        except EEBenchError as error:
            raise EEBenchError(f"task {instance.task_name} cannot be decoded: {error.message}") from error
        except AssertionError as error:  # lm-eval's word for it
            raise EEBenchError(
                f"task {instance.task_name} cannot be decoded: its longest answer leaves no room for a prompt in a "
                f"model that takes {self.max_length} tokens; give a lower --max-gen-toks, or leave this task out."
            ) from error
        prompt: Prompt | None = self._prompt
        assert prompt is not None
        if not (prompt.source or prompt.tokens):
            raise EEBenchError(f"task {instance.task_name}, document {instance.doc_id} has an empty prompt.")
        return prompt

    def encode(self, instances: Sequence[Instance]) -> list[EncodedDocument]:
        """The documents that `instances` ask about, in order, as tokens.

        Raises:
            EEBenchError: a continuation has no tokens, or more than the model can take.
        """
        return [self._document(of_document) for of_document in _by_document(instances)]

    def _document(self, instances: Sequence[Instance]) -> EncodedDocument:
        requests = tuple(EncodedRequest(instance.idx, self._windows(instance)) for instance in instances)
        return EncodedDocument(instances[0].doc_id or 0, document_hash(instances[0].doc), requests)

    def _windows(self, instance: Instance) -> tuple[Window, ...]:
        self._caught.clear()
        getattr(HFLM, instance.request_type)(self, [instance], disable_tqdm=True)
        windows = []
        for context, continuation in self._caught:
            if not 0 < len(continuation) <= self.max_length or not context:
                raise EEBenchError(
                    f"task {instance.task_name}, document {instance.doc_id}: an answer of {len(continuation)} tokens "
                    f"after {len(context)} does not fit a model that takes {self.max_length}; leave this task out."
                )
            windows.append(self._window(context, continuation))
        return tuple(windows)

    def _window(self, context: list[int], continuation: list[int]) -> Window:
        """What lm-eval would run: an encoder reads the context, a decoder-only model both together."""
        if self.backend == "causal":
            tokens = (context + continuation)[-(self.max_length + 1) :][:-1]
            return Window(tuple(tokens), tuple(continuation))
        shifted = self.model.prepare_decoder_input_ids_from_labels(labels=torch.tensor([continuation]))
        return Window(tuple(shifted[0].tolist()), tuple(continuation), tuple(context[-self.max_length :]))


def _by_document(instances: Sequence[Instance]) -> list[list[Instance]]:
    by_document: dict[tuple[str | None, int | None], list[Instance]] = defaultdict(list)
    for instance in instances:
        by_document[(instance.task_name, instance.doc_id)].append(instance)
    return list(by_document.values())


def document_hash(doc: Any) -> str:
    """SHA-256 of a document's content, the same that lm-eval logs as `doc_hash`."""
    text = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
    digest: str = hash_string(text)
    return digest
