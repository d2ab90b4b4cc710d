"""The policies that came with a bundle, run: for those who have read their sources and mean it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from eebench.plugins.registry import load_policy_file
from eebench.plugins.sources import hash_of
from eebench.policy import ExitPolicy
from eebench.submission.bundles import Bundle
from eebench.submission.policy_audit import policies_defined


def run_sources(bundle: Bundle) -> dict[str, type[ExitPolicy]]:
    """The classes that the sources of a bundle define, by `hash:name`. Their code is run.

    Raises:
        EEBenchError: a source cannot be run, or has the name of a built-in policy.
    """
    with tempfile.TemporaryDirectory(prefix="eebench-policies-") as folder:
        return dict(_classes(bundle, Path(folder)))


def _classes(bundle: Bundle, folder: Path) -> Iterator[tuple[str, type[ExitPolicy]]]:
    used = {(r.policy_hash, r.policy) for measured in bundle.evaluations for r in measured.results if not r.builtin}
    for digest, name in sorted(used):
        source = bundle.sources.get(digest)
        defined = policies_defined(source).get(name) if source and hash_of(source) == digest else None
        if source is not None and defined is not None:
            path = folder / f"{digest[:12]}.py"
            path.write_bytes(source)
            yield f"{digest}:{name}", load_policy_file(str(path), defined.class_name)
