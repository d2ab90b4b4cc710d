"""Whether a setting is of the policy that it names, and whether that policy can have been without foresight."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import ValidationError

from eebench.plugins.registry import builtin_policies, source_hash
from eebench.plugins.sources import hash_of
from eebench.policy import ExitPolicy
from eebench.records.results import Columns, Result
from eebench.submission.ground import Ground
from eebench.submission.policy_audit import policies_defined, reaches_beyond

FEWEST_EARLY = 10
"""Positions that a bound must stop early at, for a policy that does the same everywhere to be no coincidence."""


def wrong_with_policy(result: Result, num_layers: int, sources: Mapping[str, bytes]) -> Iterator[str]:
    """What is wrong with who a setting says it is, in sentences."""
    if result.builtin:
        yield from _wrong_builtin(result, num_layers)
    else:
        yield from _wrong_source(result, sources)


def _wrong_builtin(result: Result, num_layers: int) -> Iterator[str]:
    policy = builtin_policies().get(result.policy)
    if policy is None:
        yield f"it says that {result.policy} came with EEBench, which has no policy of that name"
        return
    if result.kind != policy.kind:
        yield f"it says that {result.policy} is a {result.kind}, and it is a {policy.kind}"
    setting = builtin_setting(result)
    if setting is None:
        yield f"its parameters are none that {result.policy} takes"
    elif setting.setting() != result.setting:
        yield f"its parameters are those of {setting.setting()}"
    elif any(layer > num_layers for layer in (setting.min_layer, getattr(setting, "layer", 1))):
        yield f"it names a layer that a model of {num_layers} layers does not have"


def builtin_setting(result: Result) -> ExitPolicy | None:
    """The setting as the built-in policy of its name makes it; None where it cannot."""
    try:
        return builtin_policies()[result.policy].model_validate(result.params)
    except (KeyError, ValidationError):
        return None


def other_source(result: Result) -> str:
    """Says so where a built-in policy was measured with another source than the one that is installed."""
    if not result.builtin or source_hash(builtin_policies()[result.policy])[1] == result.policy_hash:
        return ""
    return f"{result.policy} was measured with another version of its source than the one that is installed"


def _wrong_source(result: Result, sources: Mapping[str, bytes]) -> Iterator[str]:
    name = result.policy
    if name in builtin_policies():
        yield f"{name} is the name of a built-in policy, and this one is not built in"
    if result.setting.partition(":")[0] != name:
        yield f"it is not a setting of {name}"
    for parameter, value in _said(result.setting):
        if parameter not in result.params or _shown(result.params[parameter]) != value:
            yield f"its parameters are others than its name says: {parameter} is not {value}"
    source = sources.get(result.policy_hash)
    if source is None or hash_of(source) != result.policy_hash:
        yield f"the source of {name} is not in the bundle under the hash that it was measured with"
        return
    defined = policies_defined(source).get(name)
    if defined is None:
        yield f"the source that it names defines no policy {name}"
        return
    if defined.kind != result.kind:
        seen = ": it sees the layers to come" if defined.kind == "bound" else ""
        yield f"it says that {name} is a {result.kind}, and its source makes it a {defined.kind}{seen}"
    elif result.kind != "bound" and (reached := next(reaches_beyond(source), "")):
        yield f"it says that {name} is a {result.kind}, and {reached}"


def _said(setting: str) -> list[tuple[str, str]]:
    """The parameters that a setting's text names, and their values."""
    assignments = re.findall(r"(\w+)=(.*?)(?=,\w+=|$)", setting.partition(":")[2])
    return [(name, value) for name, value in assignments]


def _shown(value: object) -> str:
    """As `eebench.policy.ExitPolicy.setting` shows it."""
    return str(value).lower() if isinstance(value, bool) else f"{value}"


# --- foresight that shows in the numbers -------------------------------------------------------------------------


def wrong_with_foresight(ground: Ground, result: Result) -> Iterator[str]:
    """Numbers that only hindsight gives."""
    rows = result.documents
    if ground.oracle is not None:
        yield from _beats_oracle(ground, rows, ground.oracle)
    if result.kind == "bound":
        return
    for bound in ground.measured.results:
        if bound.kind == "bound" and _is_copy(rows, bound):
            yield (
                f"it stops where {bound.policy} does in every document and is always right, which no rule can that "
                f"sees only the layers so far"
            )
            return


def _beats_oracle(ground: Ground, rows: Columns, oracle: Columns) -> Iterator[str]:
    """A position agrees at the oracle's layer or later; each that disagrees may stop at layer 1 instead."""
    disagree = rows["n_positions"] - rows["agrees"]
    earliest = oracle["exit_layers"] - disagree * (ground.evaluation.num_layers - 1)
    wrong = rows["exit_layers"] < earliest
    if wrong.any():
        number = int(ground.documents["id"][int(np.argmax(wrong))])
        yield f"document {number} stops earlier than the oracle would with as many right predictions"


def _is_copy(rows: Columns, bound: Result) -> bool:
    if len(rows["exit_layers"]) != len(bound.documents["exit_layers"]):
        return False
    early = sum(bound.exit_histogram[:-1])
    several = np.count_nonzero(bound.exit_histogram) > 1
    same = (rows["exit_layers"] == bound.documents["exit_layers"]).all()
    return bool(early >= FEWEST_EARLY and several and same and (rows["agrees"] == rows["n_positions"]).all())
