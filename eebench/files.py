"""Files: names that are safe as names of files, and writing that is whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from threading import get_ident

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_MOST_READABLE = 40


def slug(name: str) -> str:
    """A file name without its ending, one for each name, also where upper and lower case are the same.

    Whatever a submission calls itself, its file is its own and stays in its folder.

    A name that would do is kept. Any other is made readable and told apart by a hash after a dot, which no name that
    is kept has in it.
    """
    if _PLAIN.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[-_MOST_READABLE:].strip("-")
    return f"{readable or 'unnamed'}.{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that under its name it is whole or not there, whoever else writes it at the same time.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
