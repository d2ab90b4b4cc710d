"""The grammar of settings on the command line.

entropy                                   its default sweep
entropy:threshold=0.5,min_layer=4         one setting
entropy:threshold=0.1..2.0/20             20 evenly spaced values, both ends included
patience:patience=1..8                    whole numbers
margin:threshold=[0.5,0.9]                a list
./my_policy.py  ./my_policy.py:MyPolicy   a file, and a class in it; parameters follow as above
all                                       every built-in policy, and none of an installed package or a file
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import click
import numpy as np
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from eebench.errors import EEBenchError, unknown
from eebench.plugins.modules import not_theirs, one_line
from eebench.plugins.registry import builtin_policies, find_policy, installed_policies, load_policy_file
from eebench.policy import ExitPolicy, Sweep, field_extra

_FILE = re.compile(r"(?P<path>.*?\.py)(?::(?P<cls>[^:=]+))?(?P<colon>:(?P<params>.*))?")
_COMMA = re.compile(r",(?![^\[]*\])")  # one outside brackets
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\s*=")
_MOST_SETTINGS = 100_000


@dataclass(frozen=True)
class PolicySpec:
    """A policy and the values its parameters take.

    Attributes:
        text: as it was written.
        values: parameter -> the values given for it, each one checked but as it was written.
    """

    text: str
    policy: type[ExitPolicy]
    values: Mapping[str, Sequence[Any]]

    def settings(self, num_layers: int) -> list[ExitPolicy]:
        """Every setting that is meant on a model of `num_layers` layers.

        Raises:
            EEBenchError: a layer is named that the model does not have, or no combination of the values can be; or the
                policy's sweep raised, or one of its parameters is not a plain value.
        """
        grid = {**self._default_sweeps(num_layers), **self.values}
        count = math.prod(len(values) for values in grid.values())
        if count > _MOST_SETTINGS:
            raise EEBenchError(f"'{self.text}' means {count} settings; {_MOST_SETTINGS} are the most.")
        made: list[ExitPolicy] = []
        refused: EEBenchError | None = None
        for values in product(*grid.values()):
            try:
                made.append(_make(self.policy, dict(zip(grid, values, strict=True)), self.text))
            except EEBenchError as error:  # of a grid, combinations that cannot be are left out
                refused = error
        if not made:
            raise refused or EEBenchError(f"'{self.text}' means no setting: a default sweep of it is empty.")
        self._check_layers(made, num_layers)
        try:
            return list(dict.fromkeys(made))
        except TypeError:
            raise EEBenchError(
                f"policy {self.policy.name} has a list or a dictionary as a parameter, which no setting can be told "
                f"by: declare it as a tuple, or as several parameters."
            ) from None

    def _default_sweeps(self, num_layers: int) -> dict[str, Sequence[Any]]:
        """The sweeps of a policy whose swept parameters nobody has given."""
        given = any("sweep" in field_extra(self.policy, name) for name in self.values)
        return {} if given else default_sweeps(self.policy, num_layers)

    def _check_layers(self, settings: Iterable[ExitPolicy], num_layers: int) -> None:
        layers = [name for name in self.values if field_extra(self.policy, name).get("layer")]
        for name, setting in product(layers, settings):
            if getattr(setting, name) > num_layers:
                raise EEBenchError(
                    f"'{self.text}': {name}={getattr(setting, name)}, but the model has {num_layers} layers."
                )


def parse_policies(values: Sequence[str]) -> list[PolicySpec]:
    """Parse the values of `--policy`, each one or several comma-separated specs.

    Raises:
        EEBenchError: an unknown policy or parameter, a value that cannot be, or text that is not of the grammar.
    """
    texts = [text for value in values for text in _split(value)]
    if not texts:
        raise EEBenchError("no policy is named: give one, as in --policy entropy, or --policy all.")
    specs = [spec for text in texts for spec in _parse(text)]
    _check_names(specs)
    return specs


def settings_for(specs: Iterable[PolicySpec], num_layers: int) -> list[ExitPolicy]:
    """All settings that specs mean on a model of `num_layers` layers, each once."""
    return list(dict.fromkeys(setting for spec in specs for setting in spec.settings(num_layers)))


def parameters(policy: type[ExitPolicy]) -> list[str]:
    """The parameters a user may give, the policy's own first."""
    typed = [name for name in policy.model_fields if not field_extra(policy, name).get("fitted")]
    return sorted(typed, key=ExitPolicy.model_fields.__contains__)


def default_sweeps(policy: type[ExitPolicy], num_layers: int) -> dict[str, Sequence[Any]]:
    """Parameter -> the values it takes on a model of `num_layers` layers when the policy is named alone.

    Raises:
        EEBenchError: a sweep raised, or is not a sequence.
    """
    swept = {name: field_extra(policy, name).get("sweep") for name in policy.model_fields}
    return {name: _swept(policy, name, sweep, num_layers) for name, sweep in swept.items() if sweep}


def _swept(policy: type[ExitPolicy], name: str, sweep: Sweep, num_layers: int) -> Sequence[Any]:
    try:
        values = sweep(num_layers)
        len(values)
    except BaseException as error:  # a contributor's code may raise anything
        not_theirs(error)
        raise EEBenchError(
            f"policy {policy.name}: the default sweep of {name}, on a model of {num_layers} layers, raised "
            f"{one_line(error)}; mend its `over`."
        ) from error
    return values


def _split(value: str) -> list[str]:
    """Cut at commas outside brackets, except those before `parameter=`: these go on with the policy before them."""
    texts: list[str] = []
    for piece in (piece.strip() for piece in _COMMA.split(value)):
        if texts and _ASSIGNMENT.match(piece):
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
        policy = load_policy_file(file["path"], file["cls"])
        colon, assignments = file["colon"], file["params"]
    else:
        name, colon, assignments = text.partition(":")
        policy = _named(name.strip(), text)
    if colon and not assignments:
        before = text.rstrip(":")
        raise EEBenchError(f"'{text}' ends in a colon: write {before}, or {before}:parameter=value.")
    yield PolicySpec(text, policy, dict(_parameters(policy, assignments or "", text)))


def _named(name: str, text: str) -> type[ExitPolicy]:
    """The built-in or installed policy that `text` begins with, or what is likely meant where there is none."""
    if name == "all":
        raise EEBenchError(f"'{text}': all takes no parameters; give them to policies by name.")
    if _number(name) is not None:
        raise EEBenchError(f"'{text}' is no policy: several values are a list, as in threshold=[0.1,0.5].")
    if "=" in name:
        raise EEBenchError(f"'{text}': parameters follow a policy and a colon, as in entropy:threshold=0.5.")
    if name in builtin_policies() and name in installed_policies():
        _warn_once(installed_policies()[name].refused)
    return find_policy(name)


@cache
def _warn_once(sentence: str) -> None:
    click.echo(f"Warning: {sentence}", err=True)


def _check_names(specs: Sequence[PolicySpec]) -> None:
    """Two policies of one name would be one on the board."""
    first: dict[str, PolicySpec] = {}
    for spec in specs:
        other = first.setdefault(spec.policy.name, spec)
        if other.policy is not spec.policy:
            raise EEBenchError(
                f"'{other.text}' and '{spec.text}' are two policies named {spec.policy.name}: rename one of them."
            )


def _parameters(policy: type[ExitPolicy], assignments: str, text: str) -> Iterator[tuple[str, Sequence[Any]]]:
    seen: set[str] = set()
    known = parameters(policy)
    for assignment in filter(None, _COMMA.split(assignments)):
        name, equals, value = (part.strip() for part in assignment.partition("="))
        if not (name and equals and value):
            raise EEBenchError(f"'{text}': '{assignment}' is not parameter=value.")
        if name in policy.model_fields and name not in known:
            raise EEBenchError(f"'{text}': {name} is learned from calibration documents and cannot be given.")
        if name not in known:
            raise unknown(f"parameter of {policy.name}", name, known, f"It takes {', '.join(known)}.")
        if name in seen:
            raise EEBenchError(f"'{text}' gives {name} twice: write a list, as in {name}=[1,2].")
        seen.add(name)
        values = _values(value, f"'{text}': {name}={value}", name)
        for one in values:
            _check(policy, name, one, text)
        yield name, values


# --- lists and sweeps --------------------------------------------------------------------------------------------


def _values(value: str, where: str, name: str) -> Sequence[Any]:
    """The values of a list, a sweep or a single value, still as written."""
    if "[" in value or "]" in value:
        items = [item.strip() for item in value[1:-1].split(",")]
        if not re.fullmatch(r"\[[^\[\]]*\]", value) or not all(items):
            raise EEBenchError(f"{where} is not a list of values, as in {name}=[1,2].")
        return items
    if ".." not in value:
        return [value]
    sweep = re.fullmatch(r"(?P<first>.+?)\.\.(?P<last>[^/]+)(?:/(?P<count>.*))?", value)
    first, last = (_number(sweep[end]) for end in ("first", "last")) if sweep else (None, None)
    if sweep is None or first is None or last is None:
        raise EEBenchError(f"{where} is not a sweep, as in {name}=1..8 or {name}=0.1..2.0/20.")
    if first > last:
        raise EEBenchError(f"{where} is a sweep from the larger to the smaller value: turn it round.")
    if sweep["count"] is None:
        return _whole_numbers(first, last, where)
    return _evenly_spaced(first, last, sweep["count"].strip(), where)


def _whole_numbers(first: float, last: float, where: str) -> Sequence[int]:
    if not (first.is_integer() and last.is_integer()):
        raise EEBenchError(f"{where} needs a number of values, as in {first:g}..{last:g}/20.")
    _check_count(int(last) - int(first) + 1, where)
    return range(int(first), int(last) + 1)


def _evenly_spaced(first: float, last: float, count: str, where: str) -> Sequence[float]:
    if not re.fullmatch("0*[1-9][0-9]{0,99}", count):
        raise EEBenchError(
            f"{where} is an empty sweep: the number of values after / should be a whole number, 1 or more."
        )
    _check_count(int(count), where)
    values = [float(f"{value:.6g}") for value in np.linspace(first, last, int(count))]
    return values if len(values) == 1 else [first, *values[1:-1], last]  # the ends exactly as written


def _check_count(count: int, where: str) -> None:
    if count > _MOST_SETTINGS:
        raise EEBenchError(f"{where} means {count} values; {_MOST_SETTINGS} are the most.")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# --- what can be wrong with a value, in words --------------------------------------------------------------------

_SHOULD_BE = {
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
}
"""pydantic's type of error -> what a value should be, with the bounds of the error's context."""


def _check(policy: type[ExitPolicy], name: str, value: Any, text: str) -> None:
    """Check one value by itself; whether it goes with the others is seen when a setting is made."""
    try:
        policy.model_validate({name: value})
    except ValidationError as error:
        for wrong in error.errors():
            if wrong["loc"][:1] == (name,):
                raise _refusal(wrong, value, text) from None


def _make(policy: type[ExitPolicy], values: Mapping[str, Any], text: str) -> ExitPolicy:
    try:
        return policy.model_validate(values)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise _refusal(wrong, values.get(str(wrong["loc"][0])) if wrong["loc"] else None, text) from None


def _refusal(wrong: ErrorDetails, value: Any, text: str) -> EEBenchError:
    """What pydantic finds wrong, as a sentence."""
    name = str(wrong["loc"][0]) if wrong["loc"] else ""
    if wrong["type"] == "missing":
        return EEBenchError(f"'{text}': {name} is missing, write {name}=value.")
    context = {key: f"{bound:g}" if isinstance(bound, float) else bound for key, bound in wrong.get("ctx", {}).items()}
    if wrong["type"] in _SHOULD_BE:
        return EEBenchError(f"'{text}': {name}={value} should be {_SHOULD_BE[wrong['type']].format(**context)}.")
    message = wrong["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return EEBenchError(f"'{text}': {name}={value}: {message}." if name else f"'{text}': {message}.")
