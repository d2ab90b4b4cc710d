"""The policies that came with a bundle, run: for those who have read their sources and mean it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from eebench import statistics
from eebench.errors import EEBenchError
from eebench.plugins.modules import not_theirs, one_line
from eebench.plugins.registry import load_policy_file
from eebench.plugins.sources import hash_of
from eebench.policy import ExitPolicy
from eebench.submission.bundles import Bundle
from eebench.submission.policy_audit import policies_defined, reaches_beyond


@dataclass(frozen=True)
class Ran:
    """What came of running the sources of a bundle, by `hash:name`.

    Attributes:
        classes: the policies.
        broken: why one could not be had, as the end of a sentence.
    """

    classes: dict[str, type[ExitPolicy]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def run_sources(bundle: Bundle) -> Ran:
    """The classes that the sources of a bundle define. Their code is run, but where it reaches beyond its view."""
    ran = Ran()
    used = {
        (r.policy_hash, r.policy): r.kind for measured in bundle.evaluations for r in measured.results if not r.builtin
    }
    for (digest, name), kind in sorted(used.items()):
        source = bundle.sources.get(digest)
        if source is None or hash_of(source) != digest or name not in policies_defined(source):
            continue  # which is refused for its own reasons
        if reached := next(reaches_beyond(source, bound=kind == "bound"), ""):
            ran.broken[f"{digest}:{name}"] = f"its code was not run: {reached}"
            continue
        try:
            ran.classes[f"{digest}:{name}"] = _run(source, digest, policies_defined(source)[name].class_name)
        except BaseException as error:  # a contributor's code may raise anything
            not_theirs(error)
            said = error.message.rstrip(".") if isinstance(error, EEBenchError) else one_line(error)
            ran.broken[f"{digest}:{name}"] = f"its code could not be run: {said}"
    return ran


def _run(source: bytes, digest: str, class_name: str) -> type[ExitPolicy]:
    """The class of a source. A statistic that EEBench has stays as it is, whatever is registered under its name."""
    path = _folder() / f"{digest[:12]}.py"
    path.write_bytes(source)
    own = dict(statistics.REGISTRY)
    try:
        return load_policy_file(str(path), class_name)
    finally:
        statistics.REGISTRY.update(own)


@cache
def _folder() -> Path:
    """Where sources lie as long as the program runs: of a statistic of theirs, the code is read as well."""
    _KEPT.append(tempfile.TemporaryDirectory(prefix="eebench-policies-"))
    return Path(_KEPT[-1].name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""Removed when the program ends."""
