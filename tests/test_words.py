"""Tokens as parts of words, under byte-level BPE, SentencePiece's and WordPiece's markers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from eebench.study.words import KINDS, PARTS, Surfaces, TokenClasses, classes_of

TEXT = (
    "The harbour master's laryngoscope wasn't cheap: 1234 boats, 56 nets and the lighthouse. "
    "Nobody knows why Margaret unpacked the accordion twice, but naïve children remember it well."
)
LEARNED_FROM = ["The boats and the nets and the lighthouse of the harbour", "children remember the harbour well, twice"]


def byte_level() -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained(tokenizer, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False))


def sentencepiece_like() -> Any:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    characters = sorted(set(TEXT.replace(" ", "▁")))
    trainer = trainers.UnigramTrainer(
        vocab_size=90, initial_alphabet=characters, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )
    return _trained(tokenizer, trainer)


def wordpiece() -> Any:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    characters = sorted(set(TEXT) - {" "})
    trainer = trainers.WordPieceTrainer(
        vocab_size=150, initial_alphabet=characters, special_tokens=["[UNK]"], show_progress=False
    )
    return _trained(tokenizer, trainer, learned_from=[TEXT])


def _trained(tokenizer: Tokenizer, trainer: Any, learned_from: list[str] = LEARNED_FROM) -> Any:
    tokenizer.train_from_iterator(learned_from, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


TOKENIZERS = {"byte-level": byte_level, "sentencepiece": sentencepiece_like, "wordpiece": wordpiece}


def classed(tokenizer: Any, text: str) -> tuple[list[str], TokenClasses]:
    surfaces = Surfaces(tokenizer)
    texts = [surfaces[token] for token in tokenizer(text, add_special_tokens=False).input_ids]
    return texts, classes_of([texts])


@pytest.mark.parametrize("name", TOKENIZERS)
def test_parts_are_those_that_the_places_in_the_text_give(name: str) -> None:
    tokenizer, text = TOKENIZERS[name](), text_for(name)
    places = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    surfaces, classes = classed(tokenizer, text)
    seen = dict.fromkeys(PARTS, 0)
    for (start, end), surface, part in zip(places, surfaces, classes.part, strict=True):
        first = end - len(surface.strip())
        wanted = "other"
        if surface.strip() and (text[first].isalpha() or text[first] == "'"):
            before = text[first - 1 : first]
            wanted = "continuation" if before.isalpha() or before == "'" else "start"
        assert PARTS[part] == wanted, (surface, text[start:end])
        seen[PARTS[part]] += 1
    assert min(seen.values()) > 5


@pytest.mark.parametrize("name", TOKENIZERS)
def test_pieces_are_counted_within_their_word(name: str) -> None:
    text = text_for(name)
    _surfaces, classes = classed(TOKENIZERS[name](), text)
    inside = classes.part != PARTS.index("other")
    assert (classes.piece[inside] >= 1).all()
    assert (classes.piece <= classes.pieces).all()
    assert not classes.piece[~inside].any()
    starts = classes.part == PARTS.index("start")
    assert (classes.piece[starts] == 1).all()
    words = text.replace("'", "").translate(str.maketrans(dict.fromkeys(",:.", " "))).split()
    assert starts.sum() == sum(word.isalpha() for word in words)
    assert classes.pieces[starts].sum() == inside.sum()


def text_for(name: str) -> str:
    """WordPiece sets an apostrophe apart and does not keep that no blank was there."""
    return TEXT.replace("'", "") if name == "wordpiece" else TEXT


def test_kinds_of_tokens() -> None:
    surfaces = ["The", " boat", ",", " 12", " Mar", "garet", "'s", " ", "!?", " isn", "'t"]
    classes = classes_of([surfaces])
    assert [KINDS[kind] for kind in classes.kind] == [
        "function word", "word", "punctuation", "digit", "capitalised", "capitalised", "capitalised", "blank",
        "punctuation", "word", "word",
    ]  # fmt: skip


def test_texts_do_not_run_into_each_other() -> None:
    together = classes_of([["light"], ["house"]])
    assert [PARTS[part] for part in together.part] == ["start", "start"]
    assert [PARTS[part] for part in classes_of([["light", "house"]]).part] == ["start", "continuation"]


def test_a_character_in_pieces_is_one_letter_of_a_word() -> None:
    tokenizer = byte_level()
    texts, classes = classed(tokenizer, "naïve 日本")
    assert "�" in "".join(texts)
    words = classes.part != PARTS.index("other")
    assert [surface for surface, inside in zip(texts, words, strict=True) if not inside] == [" "]
    assert np.count_nonzero(classes.part == PARTS.index("start")) == 2


@pytest.mark.real_weights
def test_surfaces_of_real_tokenizers_make_the_text_again(smollm2: Any, gemma3: Any) -> None:
    for folder in (smollm2, gemma3):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        texts, classes = classed(tokenizer, TEXT)
        assert "".join(texts).strip() == TEXT
        assert {PARTS[part] for part in classes.part} == set(PARTS)
