"""A hash of a local model's files: what stands for its revision, which no hub knows."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from eebench.cache import cache_dir
from eebench.files import write_whole

CONTENT = ("*.safetensors", "*.bin", "*.gguf", "*.json", "*.jinja", "*.model", "*.txt")
"""Files of a folder that make its model what it is."""


def content_hash(path: Path) -> str:
    """SHA-256 over the files that make a local model what it is; files known from before are not read again.

    A file is known by its path, size, and times of its last write and change, so every write by a program is seen, one
    that sets size and time back included. What is not seen is a change below the file system (a failing disk), and a
    second write within the same tick of the system's clock (some milliseconds).
    """
    files = sorted({file for pattern in CONTENT for file in path.glob(pattern)}) if path.is_dir() else [path]
    known = _known_hashes()
    digest = hashlib.sha256()
    read: dict[str, list[Any]] = {}
    for file in files:
        about = file.stat()
        seen = [about.st_size, about.st_mtime_ns, about.st_ctime_ns]
        *before, content = known.get(str(file.resolve()), [None])
        if before != seen:
            with file.open("rb") as opened:
                content = hashlib.file_digest(opened, "sha256").hexdigest()
            read[str(file.resolve())] = [*seen, content]
        digest.update(f"{file.name}:{content}\n".encode())
    if read:
        _remember_hashes(read)
    return digest.hexdigest()


def _hashes_path() -> Path:
    return cache_dir() / "content-hashes.json"


def _known_hashes() -> dict[str, list[Any]]:
    """Absolute path -> size, times of write and change in ns, SHA-256; empty where the file is not there or damaged."""
    try:
        known = json.loads(_hashes_path().read_text(encoding="utf-8"))
        return {file: list(about) for file, about in known.items() if len(about) == 4}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember_hashes(read: dict[str, list[Any]]) -> None:
    # Two processes at once may each forget what the other read: that costs reading it again, and nothing else.
    together = {**_known_hashes(), **read}
    with suppress(OSError):  # a cache that cannot be written is no reason to stop
        _hashes_path().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_hashes_path(), json.dumps(together, indent=0).encode())
