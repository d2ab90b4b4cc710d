"""Generation requests as tokens: what the model is given, and when its answer ends."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prompt:
    """What a model is to go on from, greedily, until its answer ends.

    Attributes:
        tokens: the context; in an encoder-decoder model, what the decoder starts with.
        until: strings that end the answer.
        max_new_tokens: N, the most tokens the answer may have.
        source: what the encoder of an encoder-decoder model reads.
    """

    tokens: tuple[int, ...]
    until: tuple[str, ...]
    max_new_tokens: int
    source: tuple[int, ...] = ()


@dataclass(frozen=True)
class PromptedRequest:
    """A request for an answer: its number in the document, and its prompt."""

    index: int
    prompt: Prompt


@dataclass(frozen=True)
class PromptedDocument:
    """A document of a generation task as tokens."""

    id: int
    hash: str
    requests: tuple[PromptedRequest, ...]

    @property
    def prompt_hash(self) -> str:
        """SHA-256 over prompts and what ends their answers: two documents with the same hash have the same tree."""
        digest = hashlib.sha256(self.hash.encode())
        for request in self.requests:
            prompt = request.prompt
            head = (request.index, prompt.max_new_tokens, len(prompt.source), prompt.until)
            digest.update(repr(head).encode())
            digest.update(np.array(prompt.source + prompt.tokens, dtype=np.int64).tobytes())
        return digest.hexdigest()


class StopRule:
    """When an answer ends: at the end-of-sequence token, at a string of `until`, or at its longest length.

    Strings are looked for as lm-eval looks for them, so that an answer has the tokens it has there: in the text of the
    last tokens, as many as the string takes and two more.
    """

    def __init__(self, tokenizer: Any, eos: frozenset[int]) -> None:
        """
        Args:
            eos: token ids that end any answer.
        """
        self._tokenizer = tokenizer
        self._eos = eos
        self._lengths: dict[str, int] = {}

    def ends(self, prompt: Prompt, answer: Sequence[int]) -> bool:
        """Whether `answer`, the tokens emitted so far, is complete with its last token."""
        if len(answer) >= prompt.max_new_tokens or answer[-1] in self._eos:
            return True
        texts: dict[int, str] = {}
        for string in prompt.until:
            length = self._looks_back(string)
            if length not in texts:
                texts[length] = self._tokenizer.decode(list(answer[-length:]))
            if string in texts[length]:
                return True
        return False

    def _looks_back(self, string: str) -> int:
        if string not in self._lengths:
            self._lengths[string] = len(self._tokenizer.encode(string, add_special_tokens=False)) + 2
        return self._lengths[string]


def eos_tokens(model: Any) -> frozenset[int]:
    """The token ids at which `generate` ends a sequence."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    eos = own if own is not None else getattr(model.config.get_text_config(decoder=True), "eos_token_id", None)
    return frozenset(eos if isinstance(eos, list | tuple) else [] if eos is None else [eos])


_NOT_GREEDY: dict[str, tuple[Any, ...]] = {
    "do_sample": (False,),
    "num_beams": (1,),
    "num_return_sequences": (1,),
    "repetition_penalty": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "guidance_scale": (1.0,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "bad_words_ids": (),
    "sequence_bias": (),
    "suppress_tokens": (),
    "begin_suppress_tokens": (),
    "exponential_decay_length_penalty": (),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "stop_strings": (),
}
"""Arguments of `generate` that have it emit something else than the most probable token, or stop elsewhere, and the
values besides None that mean nothing."""


def beyond_greedy(arguments: Mapping[str, Any]) -> list[str]:
    """What arguments of `generate` ask for beyond plain greedy decoding, as `name=value`."""
    return [
        f"{name}={value}"
        for name, nothing in _NOT_GREEDY.items()
        if (value := arguments.get(name)) is not None and value not in nothing
    ]


def configured_beyond_greedy(model: Any) -> list[str]:
    """What the model's own generation configuration asks for; sampling, which lm-eval turns off, is no part of it."""
    configuration = getattr(model, "generation_config", None)
    return beyond_greedy({name: getattr(configuration, name, None) for name in _NOT_GREEDY if name != "do_sample"})


def position_keys(document_hash: str, request_index: int, count: int) -> NDArray[np.uint64]:
    """A hash per position of (document, request, t): the seed of every coin tossed there. [positions]"""
    digest = hashlib.sha256(f"{document_hash}:{request_index}".encode()).digest()
    base = np.uint64(int.from_bytes(digest[:8], "little"))
    with np.errstate(over="ignore"):
        return base + np.arange(count, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
