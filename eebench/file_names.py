"""Names as names of files: whatever a submission calls itself, its file is its own and stays in its folder."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_MOST_READABLE = 40


def slug(name: str) -> str:
    """A file name without its ending, one for each name, also where upper and lower case are the same.

    A name that would do is kept. Any other is made readable and told apart by a hash after a dot, which no name that
    is kept has in it.
    """
    if _PLAIN.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[-_MOST_READABLE:].strip("-")
    return f"{readable or 'unnamed'}.{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
