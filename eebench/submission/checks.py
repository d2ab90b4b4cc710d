"""What was found of each bundle when it was accepted, kept beside it: verified by its traces, or consistent only.

    <leaderboard>/checks/<bundle>.json    status -> (model, task, KV mode) -> policy -> how many of its entries

Traces of public data sets cannot lie on a leaderboard, since token ids are text to whoever has the tokenizer. Whoever
accepts a bundle with them at hand says here what they have proved. Anyone else's `verify` still tells what the rows
alone prove.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from eebench.errors import EEBenchError
from eebench.files import write_whole
from eebench.records.results import StoredResult
from eebench.submission.bundles import where
from eebench.submission.verification import Report

CHECKS = "checks"

Proof = Literal["verified", "in part", "consistent"]
"""Of some entries: all verified, some, or none."""

Counts = dict[str, dict[str, int]]
"""Evaluation -> policy -> entries."""


class Check(BaseModel):
    """What was found of a bundle: how many entries are verified, and how many consistent only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eebench: str
    verified: Counts = {}
    consistent: Counts = {}


@dataclass(frozen=True)
class Checks:
    """What was found of the bundles that some results came in.

    Attributes:
        of_bundle: the name of a bundle -> what was found of it.
        bundles: the run of a result -> the name of its bundle.
    """

    of_bundle: Mapping[str, Check]
    bundles: Mapping[int, str]

    def proof(self, results: Iterable[StoredResult]) -> Proof:
        """Whether some results are verified, all told."""
        found = {status for stored in results for status in self._statuses(stored)}
        return "in part" if len(found) > 1 else "verified" if found == {"verified"} else "consistent"

    def by_policy(self, results: Iterable[StoredResult]) -> dict[str, Proof]:
        """The same for each policy."""
        grouped: dict[str, list[StoredResult]] = defaultdict(list)
        for stored in results:
            grouped[stored.result.policy].append(stored)
        return {policy: self.proof(some) for policy, some in grouped.items()}

    def _statuses(self, stored: StoredResult) -> list[str]:
        bundle = self.bundles[stored.run_id]
        policy = stored.result.policy.removesuffix(f" ({bundle})")  # as policies of one name are told apart
        check = self.of_bundle.get(bundle) or Check(eebench="")
        counts = {"verified": check.verified, "consistent": check.consistent}
        at = where(stored.evaluation)
        return [status for status, of in counts.items() if of.get(at, {}).get(policy)] or ["consistent"]


def keep_check(folder: Path, report: Report) -> None:
    """Keep what was found of a bundle that was accepted.

    Raises:
        OSError: it cannot be written.
    """
    counts: dict[str, Counts] = {"verified": {}, "consistent": {}}
    for entry in report.entries:
        if entry.status in counts:
            of = counts[entry.status].setdefault(entry.where, defaultdict(int))
            of[entry.policy] += 1
    about: dict[str, Any] = {"eebench": version("eebench"), **counts}
    (folder / CHECKS).mkdir(exist_ok=True)
    write_whole(folder / CHECKS / f"{report.name}.json", f"{json.dumps(about, indent=1)}\n".encode())


def read_checks(folder: Path, bundles: Mapping[int, str]) -> Checks:
    """What was found of the bundles in a leaderboard's folder.

    Args:
        bundles: the run of a result -> the name of its bundle.

    Raises:
        EEBenchError: a file is damaged.
    """
    found = {}
    for path in sorted((folder / CHECKS).glob("*.json")):
        try:
            found[path.stem] = Check.model_validate_json(path.read_bytes())
        except (ValidationError, OSError):
            raise EEBenchError(
                f"{path} does not say what was found of a bundle: `eebench leaderboard verify --keep` writes it anew."
            ) from None
    return Checks(found, bundles)
