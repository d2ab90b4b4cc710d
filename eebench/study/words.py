"""Tokens as parts of words, for any tokenizer: where a token stands in its word, and what kind of thing it is.

A token's surface is what it adds to a text, found by decoding it after an anchor, so no marker of any tokenizer (the
blank of byte-level BPE, SentencePiece's, WordPiece's ##) has to be known. A word is a run of letters, with apostrophes
inside; a number is a run of digits. A token that goes on with a word that an earlier token began is a continuation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["start", "continuation", "other"]
PARTS: tuple[Part, ...] = ("start", "continuation", "other")

Kind = Literal["function word", "capitalised", "word", "digit", "punctuation", "blank"]
KINDS: tuple[Kind, ...] = ("function word", "capitalised", "word", "digit", "punctuation", "blank")

_FUNCTION_WORDS = (
    "a about above after again against all am an and any are as at be because been before being below between both but "
    "by can could did do does doing down during each few for from further had has have having he her here hers him his "
    "how i if in into is it its just me more most my no nor not of off on once only or other our out over own same "
    "she should so some such than that the their them then there these they this those through to too under until up "
    "very was we were what when where which while who whom why will with would you your"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words of the closed classes: articles, pronouns, prepositions, conjunctions, auxiliaries."""

UNDECODED = "�"
"""What a token that is a piece of a character decodes to; taken for a letter, as in nearly every script it is."""

APOSTROPHES = "'’"


@dataclass(frozen=True)
class TokenClasses:
    """What each token of some texts is.

    Attributes:
        part: whether it starts a word, continues one, or is no part of a word (numbers, punctuation, blanks); an index
            into `PARTS`. [tokens]
        kind: an index into `KINDS`; of a word's pieces, what the whole word is. [tokens]
        piece: its place in its word, from 1; 0 outside words. [tokens]
        pieces: how many pieces its word has; 0 outside words. [tokens]
    """

    part: NDArray[np.int8]
    kind: NDArray[np.int8]
    piece: NDArray[np.int16]
    pieces: NDArray[np.int16]


class Surfaces:
    """What tokens add to a text, by id."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._anchor = tokenizer("x", add_special_tokens=False).input_ids
        self._before = self._decoded([])
        self._known: dict[int, str] = {}

    def __getitem__(self, token: int) -> str:
        if token not in self._known:
            after = self._decoded([int(token)])
            self._known[token] = after[len(self._before) :] if after.startswith(self._before) else after
        return self._known[token]

    def _decoded(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode([*self._anchor, *tokens], clean_up_tokenization_spaces=False)
        return text


def classes_of(texts: Sequence[Sequence[str]]) -> TokenClasses:
    """What each token is.

    Args:
        texts: per text the surfaces of its tokens, as `Surfaces` gives them.

    Returns:
        The classes of all tokens, text by text; there must be one.
    """
    classed = [_classes_of_text(surfaces) for surfaces in texts if surfaces]
    part, kind, piece, pieces = ([*column] for column in zip(*classed, strict=True))
    return TokenClasses(*map(np.concatenate, (part, kind)), *map(np.concatenate, (piece, pieces)))


Columns = tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int16], NDArray[np.int16]]


def _classes_of_text(surfaces: Sequence[str]) -> Columns:
    text = "".join(surfaces)
    ends = np.cumsum([len(surface) for surface in surfaces])
    word_at, words = _words(text)
    count = len(surfaces)
    part, kind = np.full(count, PARTS.index("other"), np.int8), np.full(count, KINDS.index("blank"), np.int8)
    piece, pieces = np.zeros(count, np.int16), np.zeros(count, np.int16)
    seen: dict[int, list[int]] = {}  # word -> its tokens so far
    for token, (end, surface) in enumerate(zip(ends, surfaces, strict=True)):
        start = end - len(surface)
        first = next((at for at in range(start, end) if not text[at].isspace()), None)
        if first is None:
            continue
        word = word_at[first]
        if word < 0:
            kind[token] = KINDS.index("digit" if text[first].isdigit() else "punctuation")
            continue
        tokens = seen.setdefault(word, [])
        tokens.append(token)
        part[token] = PARTS.index("start" if len(tokens) == 1 and words[word].start >= start else "continuation")
        kind[token] = KINDS.index(words[word].kind)
        piece[token] = len(tokens)
    for tokens in seen.values():
        pieces[tokens] = len(tokens)
    return part, kind, piece, pieces


@dataclass(frozen=True)
class _Word:
    start: int
    kind: Kind


def _words(text: str) -> tuple[list[int], list[_Word]]:
    """For every character the number of the word it lies in, or -1; and the words."""
    word_at = [-1] * len(text)
    words: list[_Word] = []
    at = 0
    while at < len(text):
        if not _is_letter(text[at]):
            at += 1
            continue
        end = at + 1
        while end < len(text) and (_is_letter(text[end]) or _joins(text, end)):
            end += 1
        word_at[at:end] = [len(words)] * (end - at)
        words.append(_Word(at, _kind_of_word(text[at:end])))
        at = end
    return word_at, words


def _is_letter(character: str) -> bool:
    return character.isalpha() or character == UNDECODED


def _joins(text: str, at: int) -> bool:
    return text[at] in APOSTROPHES and at + 1 < len(text) and _is_letter(text[at + 1])


def _kind_of_word(word: str) -> Kind:
    stem = word.lower().partition("'")[0].partition("’")[0]
    if stem in FUNCTION_WORDS:
        return "function word"
    return "capitalised" if word[0].isupper() else "word"
