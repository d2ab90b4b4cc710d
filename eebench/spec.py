"""The grammar of settings on the command line.

entropy                                   its default sweep
entropy:threshold=0.5,min_layer=4         one setting
entropy:threshold=0.1..2.0/20             20 evenly spaced values, both ends included
patience:patience=1..8                    whole numbers
margin:threshold=[0.5,0.9]                a list
./my_policy.py  ./my_policy.py:MyPolicy   a file, and a class in it
all                                       every built-in policy
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from eebench.errors import EEBenchError, unknown
from eebench.policy import ExitPolicy, field_extra
from eebench.registry import builtin_policies, find_policy, load_policy_file

_FILE = re.compile(r"(?P<path>.*?\.py)(?::(?P<cls>[A-Za-z_]\w*))?(?::(?P<params>.*=.*))?")
_MOST_SETTINGS = 100_000


@dataclass(frozen=True)
class PolicySpec:
    """A policy and the values its parameters take.

    Attributes:
        text: as it was written.
        values: parameter -> the values given for it.
    """

    text: str
    policy: type[ExitPolicy]
    values: dict[str, list[Any]]

    def settings(self, num_layers: int) -> list[ExitPolicy]:
        """Every setting that is meant on a model of `num_layers` layers.

        Raises:
            EEBenchError: a layer is named that the model does not have.
        """
        self._check_layers(num_layers)
        sweeps = {name: sweep(num_layers) for name, sweep in self._default_sweeps().items()}
        grid = {**sweeps, **self.values}
        made: list[ExitPolicy] = []
        refused: EEBenchError | None = None
        for values in product(*grid.values()):
            try:
                made.append(_make(self.policy, dict(zip(grid, values, strict=True)), self.text))
            except EEBenchError as error:  # of a grid, combinations that cannot be are left out
                refused = error
        if refused and not made:
            raise refused
        return list(dict.fromkeys(made))

    def _default_sweeps(self) -> dict[str, Any]:
        """The sweeps of a policy whose swept parameters nobody has given."""
        sweeps = {name: field_extra(self.policy, name).get("sweep") for name in self.policy.model_fields}
        swept = {name: sweep for name, sweep in sweeps.items() if sweep}
        return {} if swept.keys() & self.values.keys() else swept

    def _check_layers(self, num_layers: int) -> None:
        for name, values in self.values.items():
            too_deep = [value for value in values if field_extra(self.policy, name).get("layer") and value > num_layers]
            if too_deep:
                raise EEBenchError(f"{self.text}: {name}={too_deep[0]}, but the model has {num_layers} layers.")


def parse_policies(values: Sequence[str]) -> list[PolicySpec]:
    """Parse the values of `--policy`, each one or several comma-separated specs.

    Raises:
        EEBenchError: an unknown policy or parameter, a value that cannot be, or text that is not of the grammar.
    """
    texts = [text for value in values for text in _split(value)]
    if not texts:
        raise EEBenchError("no policy is named: give one, as in --policy entropy, or --policy all.")
    return [spec for text in texts for spec in _parse(text)]


def settings_for(specs: Iterable[PolicySpec], num_layers: int) -> list[ExitPolicy]:
    """All settings that specs mean on a model of `num_layers` layers, each once."""
    return list(dict.fromkeys(setting for spec in specs for setting in spec.settings(num_layers)))


def _split(value: str) -> list[str]:
    """Cut at commas outside brackets, except those before `parameter=`: these go on with the policy before them."""
    pieces = re.split(r",(?![^\[]*\])", value)
    texts: list[str] = []
    for piece in (piece.strip() for piece in pieces):
        if texts and re.match(r"[A-Za-z_]\w*\s*=", piece):
            texts[-1] += f",{piece}"
        elif piece:
            texts.append(piece)
    return texts


def _parse(text: str) -> Iterator[PolicySpec]:
    if text == "all":
        yield from (PolicySpec(name, policy, {}) for name, policy in builtin_policies().items())
        return
    file = _FILE.fullmatch(text)
    if file:
        policy = load_policy_file(Path(file["path"]).expanduser(), file["cls"])
        assignments = file["params"] or ""
    else:
        name, colon, assignments = text.partition(":")
        policy = find_policy(name)
        if colon and not assignments:
            raise EEBenchError(f"'{text}' ends in a colon: write {name}, or {name}:parameter=value.")
    yield PolicySpec(text, policy, dict(_parameters(policy, assignments, text)))


def _parameters(policy: type[ExitPolicy], assignments: str, text: str) -> Iterator[tuple[str, list[Any]]]:
    seen: set[str] = set()
    for assignment in filter(None, re.split(r",(?![^\[]*\])", assignments)):
        name, equals, value = (part.strip() for part in assignment.partition("="))
        if not equals or not value:
            raise EEBenchError(f"'{text}': '{assignment}' is not parameter=value.")
        typed = [known for known in policy.model_fields if not field_extra(policy, known).get("fitted")]
        if name not in typed:
            raise unknown(f"parameter of {policy.name}", name, typed, f"It takes {', '.join(typed)}.")
        if name in seen:
            raise EEBenchError(f"'{text}' gives {name} twice: write a list, as in {name}=[1,2].")
        seen.add(name)
        raw = list(_values(value, name, text))
        yield name, [getattr(_make(policy, {name: one}, text, partial=True), name) for one in raw]


def _values(value: str, name: str, text: str) -> Iterable[Any]:
    """The values of a list, a sweep or a single value, still as written."""
    if value.startswith("[") or value.endswith("]"):
        items = [item.strip() for item in value.strip("[]").split(",") if item.strip()]
        if not (value.startswith("[") and value.endswith("]") and items):
            raise EEBenchError(f"'{text}': {name}={value} is not a list of values, as in {name}=[1,2].")
        return items
    if ".." not in value:
        return [value]
    sweep = re.fullmatch(r"(?P<first>.+?)\.\.(?P<last>[^/]+)(?:/(?P<count>.*))?", value)
    bounds = [_number(sweep[end]) for end in ("first", "last")] if sweep else [None]
    if sweep is None or None in bounds:
        raise EEBenchError(f"'{text}': {name}={value} is not a sweep, as in {name}=1..8 or {name}=0.1..2.0/20.")
    return _sweep(bounds[0], bounds[1], sweep["count"], f"'{text}': {name}={value}")


def _sweep(first: float | None, last: float | None, count: str | None, where: str) -> Sequence[Any]:
    assert first is not None
    assert last is not None
    if first > last:
        raise EEBenchError(f"{where} is a sweep from the larger to the smaller value: turn it round.")
    if count is None:
        if not (float(first).is_integer() and float(last).is_integer()):
            raise EEBenchError(f"{where} needs a number of values, as in {first}..{last}/20.")
        values: Sequence[Any] = range(int(first), int(last) + 1)
    elif not count.isdecimal() or int(count) < 1:
        raise EEBenchError(f"{where} is an empty sweep: the number of values after / must be 1 or more.")
    elif int(count) <= _MOST_SETTINGS:
        values = [float(f"{value:.6g}") for value in np.linspace(first, last, int(count))]
    else:
        values = range(int(count))
    if len(values) > _MOST_SETTINGS:
        raise EEBenchError(f"{where} means {len(values)} values; {_MOST_SETTINGS} are the most.")
    return values


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _make(policy: type[ExitPolicy], values: dict[str, Any], text: str, partial: bool = False) -> ExitPolicy:
    """A setting, or for `partial` one whose other parameters do not matter, checked.

    Raises:
        EEBenchError: what pydantic finds wrong, as a sentence.
    """
    try:
        return policy.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"] and partial:  # only wrong together with the defaults of the others
            return policy.model_construct(**_coerced(policy, values))
        name = str(first["loc"][0]) if first["loc"] else ""
        wrong = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        if name:
            raise EEBenchError(f"'{text}': {name}={values.get(name)} should be {wrong}.") from None
        raise EEBenchError(f"'{text}': {wrong}.") from None


def _coerced(policy: type[ExitPolicy], values: dict[str, Any]) -> dict[str, Any]:
    """Single values as their types, without the check of them together."""
    types: dict[str, Any] = {name: policy.model_fields[name].annotation for name in values}
    return {name: TypeAdapter(types[name]).validate_python(value) for name, value in values.items()}
