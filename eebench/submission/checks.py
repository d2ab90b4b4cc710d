"""What was found of each bundle when it was accepted, kept beside it: verified by its traces, or consistent only.

    <leaderboard>/checks/<bundle>.json    status -> (model, task, KV mode) -> policy -> how many of its entries

Traces of public data sets cannot lie on a leaderboard, since token ids are text to whoever has the tokenizer. Whoever
accepts a bundle with them at hand says here what they have proved. Anyone else's `verify` still tells what the rows
alone prove.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eebench.errors import EEBenchError
from eebench.files import write_whole
from eebench.records.results import StoredResult
from eebench.submission.bundles import Bundle, where
from eebench.submission.verification import Report

CHECKS = "checks"

ANEW = "`eebench leaderboard verify --keep` writes it anew"

Proof = Literal["verified", "in part", "consistent"]
"""Of some entries: all verified, some, or none."""

Counts = dict[str, dict[str, Annotated[int, Field(ge=0)]]]
"""Evaluation -> policy -> entries."""


class Check(BaseModel):
    """What was found of a bundle: how many entries are verified, and how many consistent only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eebench: str
    verified: Counts = {}
    consistent: Counts = {}

    @property
    def counted(self) -> Counter[tuple[str, str]]:
        """(evaluation, policy) -> its entries, whatever was found of them."""
        return _flat(self.verified) + _flat(self.consistent)


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
        policy = stored.result.policy.partition(" (")[0]  # as policies of one name are told apart
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
    write_whole(check_of(folder, report.name), f"{json.dumps(about, indent=1)}\n".encode())


def read_checks(folder: Path, bundles: Mapping[int, str]) -> Checks:
    """What was found of the bundles in a leaderboard's folder.

    Args:
        bundles: the run of a result -> the name of its bundle.

    Raises:
        EEBenchError: a file is damaged.
    """
    found = {name: read_check(folder, name) for name in bundles.values()}
    return Checks({name: check for name, check in found.items() if check}, bundles)


def check_of(folder: Path, name: str) -> Path:
    """Where what was found of a bundle is kept."""
    return folder / CHECKS / f"{name}.json"


def read_check(folder: Path, name: str) -> Check | None:
    """What was found of a bundle when it was accepted; None where nothing is kept.

    Raises:
        EEBenchError: the file is damaged.
    """
    path = check_of(folder, name)
    try:
        return Check.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError):
        raise EEBenchError(f"{path} does not say what was found of a bundle: {ANEW}.") from None


# --- whether it can be so ----------------------------------------------------------------------------------------


def wrong_counts(check: Check, bundle: Bundle) -> str:
    """Whether what was found counts the entries that there are, all of them and no others."""
    there = Counter((str(one), result.policy) for one in bundle.evaluations for result in one.results)
    said = check.counted
    for place, policy in dict.fromkeys([*there, *said]):
        counted, entries = said[place, policy], there[place, policy]
        if counted != entries:
            return f"it counts {counted} of {policy} on {place}, and the bundle has {entries}: {ANEW}"
    return ""


def contradicted(check: Check, bundle: Bundle) -> Iterator[str]:
    """What was said to be found of a bundle, and cannot have been, in sentences."""
    if wrong := wrong_counts(check, bundle):
        yield f"what was found of it when it was accepted cannot be: {wrong}"
    for measured in bundle.evaluations:
        mode = measured.evaluation.kv_mode
        if mode != "full" and any(check.verified.get(str(measured), {}).values()):
            yield f"what was found of it when it was accepted cannot be: no trace verifies KV mode {mode}: {ANEW}"


def unconfirmed(check: Check, report: Report) -> str:
    """How many entries were verified when a bundle was accepted, and are not now that less is at hand."""
    found = Counter((entry.where, entry.policy) for entry in report.entries if entry.status == "verified")
    count = (_flat(check.verified) - found).total()
    said = "1 entry that was" if count == 1 else f"{count} entries that were"
    return f"{said} verified when it was accepted cannot be confirmed with what is at hand here" if count else ""


def _flat(counts: Counts) -> Counter[tuple[str, str]]:
    return Counter({(place, policy): n for place, of in counts.items() for policy, n in of.items()})
