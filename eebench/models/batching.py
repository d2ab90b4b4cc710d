"""Sequences in right-padded batches of like length.

Padding needs no mask: every family read here is causal, and nothing to the right of a position is scored for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

AUTO_BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}
"""Tokens in a batch of `--batch-size auto`; a longer sequence runs alone."""

Tokens = tuple[int, ...]
Sequenced = tuple[Tokens, Tokens]
"""(source, tokens)"""
Source = tuple[Tensor, Tensor] | tuple[()]
"""What an encoder reads, and which of it is not padding, both [batch, length]; nothing for decoder-only models."""


def padded_batches(
    sequences: Sequence[Sequenced], batch_size: int | None, device: torch.device
) -> Iterator[tuple[list[int], Tensor, Source]]:
    """The sequences in batches: which of them, their token ids [batch, length], and their source.

    Args:
        batch_size: sequences per batch; None fills a batch up to a number of tokens.
    """
    for group in _grouped([len(source) + len(tokens) for source, tokens in sequences], batch_size, device):
        sources, tokens = zip(*(sequences[number] for number in group), strict=True)
        yield group, padded(tokens, device), _source(sources, device)


def padded(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """[batch, length]"""
    rows = np.zeros((len(sequences), max(map(len, sequences))), dtype=np.int64)
    for row, tokens in enumerate(sequences):
        rows[row, : len(tokens)] = tokens
    return torch.from_numpy(rows).to(device)


def _source(sources: Sequence[Tokens], device: torch.device) -> Source:
    if not any(sources):
        return ()
    return padded(sources, device), padded([(1,) * len(source) for source in sources], device)


def _grouped(lengths: Sequence[int], batch_size: int | None, device: torch.device) -> list[list[int]]:
    """Sequences cut into batches of like length, longest first, by number or by padded size."""
    room = AUTO_BATCH_TOKENS.get(device.type, AUTO_BATCH_TOKENS["cpu"])
    groups: list[list[int]] = []
    for sequence in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        fits = groups and (
            len(groups[-1]) < batch_size if batch_size else (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= room
        )
        if fits:
            groups[-1].append(sequence)
        else:
            groups.append([sequence])
    return groups
