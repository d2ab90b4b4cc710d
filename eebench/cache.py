"""The user's cache: where traces and converted weights are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Where traces and converted weights are kept: `EEBENCH_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("EEBENCH_CACHE") or platformdirs.user_cache_dir("eebench", appauthor=False)).expanduser()


def traces_dir() -> Path:
    """Where traces are cached."""
    return cache_dir() / "traces"


def models_dir() -> Path:
    """Where converted weights are kept."""
    return cache_dir() / "models"


def local_copy(alias: str) -> Path | None:
    """The converted folder of a catalogue model, if it has been pulled."""
    folder = models_dir() / alias
    return folder if (folder / "config.json").is_file() else None
