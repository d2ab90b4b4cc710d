"""The sources of policies that did not come with EEBench, kept as they were when they were measured.

A result names its policy's source by SHA-256 only. The file itself may be edited the minute after, so that a run keeps
a copy under its hash, for whoever is shown the result later and wants to know what was measured.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from eebench.cache import cache_dir
from eebench.errors import EEBenchError
from eebench.files import write_whole
from eebench.plugins.registry import source_hash
from eebench.policy import ExitPolicy

LARGEST = 1 << 20
"""Bytes of a policy's source: a policy is a small file."""


def keep_sources(policies: Iterable[type[ExitPolicy]]) -> None:
    """Keep a copy of the source of each policy that is not built in."""
    for policy in policies:
        builtin, digest = source_hash(policy)
        if not builtin:
            with suppress(OSError):  # nothing that a run should stop for: an export asks for the file instead
                _keep(Path(inspect.getfile(policy)).read_bytes(), digest)


def _keep(content: bytes, digest: str) -> None:
    path = _kept_at(digest)
    if hash_of(content) == digest and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def _kept_at(digest: str) -> Path:
    return cache_dir() / "policies" / f"{digest}.py"


def hash_of(content: bytes) -> str:
    """SHA-256 of a source, as results name it."""
    return hashlib.sha256(content).hexdigest()


def find_sources(wanted: Mapping[str, str], command: str, given: Sequence[Path]) -> dict[str, bytes]:
    """The sources of policies, by hash: from files that are given, that a run has kept, or that its command names.

    Args:
        wanted: hash -> the policy's name.

    Raises:
        EEBenchError: one cannot be found as it was when it was measured, or is too large for a policy.
    """
    places = [*given, *(_kept_at(digest) for digest in wanted), *map(Path, re.findall(r"[^\s,'\"]+\.py", command))]
    found = {hash_of(content): content for place in places if (content := _read(place)) is not None}
    for digest, name in wanted.items():
        if digest not in found:
            raise EEBenchError(
                f"the source of policy {name} is not here as it was measured (SHA-256 {digest[:12]}): give the file "
                f"with --source, or measure the policy again."
            )
        if len(found[digest]) > LARGEST:
            raise EEBenchError(f"the source of policy {name} has {len(found[digest])} bytes: {LARGEST} are the most.")
    return {digest: found[digest] for digest in wanted}


def _read(path: Path) -> bytes | None:
    try:
        return path.expanduser().read_bytes() if path.is_file() else None
    except OSError:
        return None
