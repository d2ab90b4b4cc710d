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
from eebench.tracing import EncodedDocument, EncodedRequest, Window

REQUEST_TYPES = ("loglikelihood", "loglikelihood_rolling")


class Encoder(HFLM):  # type: ignore[misc]
    """lm-eval's own `hf` model, stopped at the point where the tokens are known."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        logging.getLogger("lm_eval.models.huggingface").setLevel(logging.ERROR)  # it warns of what is meant here
        backend = "seq2seq" if model.config.is_encoder_decoder else "causal"
        super().__init__(pretrained=model, tokenizer=tokenizer, backend=backend, batch_size=1)
        self._caught: list[tuple[list[int], list[int]]] = []

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **_kwargs: Any
    ) -> list[tuple[float, bool]]:
        self._caught.extend((context, continuation) for _strings, context, continuation in requests)
        return [(0.0, False)] * len(requests)

    def encode(self, instances: Sequence[Instance]) -> list[EncodedDocument]:
        """The documents that `instances` ask about, in order, as tokens.

        Raises:
            EEBenchError: a continuation has no tokens, or more than the model can take.
        """
        by_document: dict[tuple[str | None, int | None], list[Instance]] = defaultdict(list)
        for instance in instances:
            by_document[(instance.task_name, instance.doc_id)].append(instance)
        return [self._document(doc_id, of_document) for (_task, doc_id), of_document in by_document.items()]

    def _document(self, doc_id: int | None, instances: Sequence[Instance]) -> EncodedDocument:
        requests = tuple(EncodedRequest(instance.idx, self._windows(instance)) for instance in instances)
        return EncodedDocument(doc_id or 0, document_hash(instances[0].doc), requests)

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


def document_hash(doc: Any) -> str:
    """SHA-256 of a document's content, the same that lm-eval logs as `doc_hash`."""
    text = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
    digest: str = hash_string(text)
    return digest
