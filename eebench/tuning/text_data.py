"""Text to tune on: files, folders and hub data sets, as blocks of tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eebench.errors import EEBenchError

BUILDERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet", ".txt": "text"}
TEXT_FIELDS = ("text", "page", "content", "document")
"""Where a data set's text is looked for unless a field is named."""


@dataclass(frozen=True)
class TextBlocks:
    """Text as blocks of equal length, some of them held out.

    Attributes:
        train: [blocks, length]
        held_out: never trained on. [blocks, length]
        digest: SHA-256 of all tokens, in order.
    """

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    digest: str


def read_texts(sources: Sequence[str], field: str | None = None, split: str = "train") -> list[str]:
    """The texts of files (.txt, .jsonl, .json, .csv, .parquet), of folders in the hub's layout, or of hub data sets.

    Raises:
        EEBenchError: there is no such data, or it has no text in it.
    """
    texts = [text for source in sources for text in _read(source, field, split)]
    if not any(text.strip() for text in texts):
        raise EEBenchError(f"there is no text in {', '.join(sources)}: give a file with some.")
    return texts


def _read(source: str, field: str | None, split: str) -> list[str]:
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    path = Path(source).expanduser()
    if path.is_file() and path.suffix not in BUILDERS:
        raise EEBenchError(f"{source} is no kind of file EEBench reads text from: take {', '.join(BUILDERS)}.")
    if not path.exists() and path.suffix in BUILDERS:
        raise EEBenchError(f"there is no file {source} to read text from.")
    try:
        if path.is_file():
            whole = {"sample_by": "document"} if path.suffix == ".txt" else {}
            rows: Any = load_dataset(BUILDERS[path.suffix], data_files=str(path), split="train", **whole)
        else:
            rows = load_dataset(str(path) if path.is_dir() else source, split=split)
    except Exception as error:  # datasets raises dozens of types for what is not there or damaged
        said = (str(error).strip().splitlines() or [""])[0][:160]
        raise EEBenchError(
            f"the data set {source} (split {split}) could not be read ({type(error).__name__}: {said}): give a file, a "
            f"folder in the hub's layout, or the id of a data set that is on this machine or can be reached."
        ) from error
    return [str(text) for text in rows[_text_field(source, rows, field)] if text]


def _text_field(source: str, rows: Any, field: str | None) -> str:
    known = [name for name in rows.column_names if getattr(rows.features[name], "dtype", None) in TEXT_DTYPES]
    for name in (field,) if field else TEXT_FIELDS:
        if name in known:
            return str(name)
    if field or len(known) != 1:
        there = ", ".join(known) or "none"
        raise EEBenchError(f"{source} has no field {field or 'that is known to hold its text'}: --field, of {there}.")
    return str(known[0])


TEXT_DTYPES = ("string", "large_string")


def blocks_of(tokenizer: Any, texts: Sequence[str], length: int, held_out: int) -> TextBlocks:
    """Texts joined by the end-of-text token and cut into blocks; whole texts are held out, the last of one text alone.

    Args:
        length: tokens of a block.
        held_out: how many blocks are held out; at most a tenth of them all, and at least one.

    Raises:
        EEBenchError: there are fewer than two blocks of text.
    """
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    tokenized = tokenizer(list(texts), add_special_tokens=False, verbose=False).input_ids
    tokens = [np.array([*ids, *end], dtype=np.int64) for ids in tokenized]
    total = sum(len(ids) for ids in tokens)
    if total < 2 * length:
        raise EEBenchError(
            f"there are {total} tokens of text, and two blocks take {2 * length}: give more text, or a smaller "
            f"--length."
        )
    wanted = length * max(1, min(held_out, total // length // 10))
    apart = _held_out_texts([len(ids) for ids in tokens], wanted)
    train = np.concatenate([ids for ids, out in zip(tokens, apart, strict=True) if not out])
    if apart.any():
        kept = np.concatenate([ids for ids, out in zip(tokens, apart, strict=True) if out])[:wanted]
    else:
        train, kept = np.split(train, [len(train) - wanted])
    digest = hashlib.sha256(np.concatenate(tokens).tobytes()).hexdigest()
    return TextBlocks(_cut(train, length), _cut(kept, length), digest)


def _held_out_texts(sizes: Sequence[int], wanted: int) -> NDArray[np.bool_]:
    """Which texts are held out: spread over all of them, until they have as many tokens as are wanted. [texts]

    None are where that would take half of all the tokens or more.
    """
    apart = np.zeros(len(sizes), dtype=bool)
    in_turns = np.random.default_rng(0).permutation(len(sizes))
    reached = np.cumsum(np.array(sizes)[in_turns])
    apart[in_turns[: 1 + int(np.searchsorted(reached, wanted))]] = True
    return apart if np.array(sizes)[apart].sum() < sum(sizes) / 2 else np.zeros_like(apart)


def _cut(tokens: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """[tokens] -> [blocks, length]; what is over is left out."""
    return tokens[: len(tokens) // length * length].reshape(-1, length)
