"""A new policy to start from: a complete policy and its test, written as two files."""

from __future__ import annotations

import keyword
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template

from eebench import policy as protocol
from eebench.errors import EEBenchError
from eebench.plugins.registry import RESERVED, builtin_policies
from eebench.policy import kebab_case

POLICY = Template('''\
"""Stop once the lens is sure twice."""

from eebench.policy import Bools, ExitPolicy, LayerView, swept, toward_one


class $policy_class(ExitPolicy):
    """Stop once two looks in a row are sure of the same token."""

$name_line    formula = "max_prob(k) >= threshold and top-1(k) = top-1 of the look before"
    source = "an example: say here where your rule was published"

    threshold: float = swept(0.7, over=toward_one(0.9, 0.01, 10), description="lowest probability", ge=0, le=1)

    def stops(self, layer: LayerView) -> Bools:
        if layer.previous is None:  # the first look: there is none before it
            return layer.none()
        return (layer.max_prob >= self.threshold) & (layer.top1 == layer.previous.top1)
''')

TEST = Template('''\
"""$policy_class against its rule in slow and obvious words, one position at a time."""

from pathlib import Path

import numpy as np
import pytest

from eebench.plugins.registry import load_policy_file
from eebench.replaying import replay
from eebench.spec import PolicySpec

LAYERS, POSITIONS, VOCAB, LONGEST = 6, 40, 5, 8

FILE = Path(__file__).with_name("$module.py")
$policy_class = load_policy_file(str(FILE))  # as `eebench run -p` does
SETTINGS = PolicySpec(FILE.name, $policy_class, {}).settings(LAYERS)


def stops(policy, seen, looks):
    """Whether one position stops at the last of the layers looked at so far; `seen(name, k)` is a number of layer k."""
    if len(looks) < 2:
        return False
    before, k = looks[-2:]
    return seen("max_prob", k) >= policy.threshold and seen("top1", k) == seen("top1", before)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("min_layer", "every"), [(1, 1), (3, 1), (1, 2)])
def test_decides_as_its_rule_says(seed, min_layer, every):
    trace = RandomTrace(seed)
    for setting in SETTINGS:
        policy = setting.model_copy(update={"min_layer": min_layer, "every": every})
        by_rule = [exit_layer(policy, trace, i) for i in range(POSITIONS)]
        assert replay(policy, trace).exit_layer.tolist() == by_rule, policy.setting()


def test_some_setting_of_its_sweep_stops_early_and_some_stops_later():
    stop = [replay(setting, RandomTrace(0)).exit_layer.mean() for setting in SETTINGS]
    assert min(stop) < max(stop)


def exit_layer(policy, trace, i):
    """The layer that position i stops at, by the rule."""

    def seen(name, k):
        return trace.statistics[name][k - 1, i]

    looks = range(policy.min_layer, LAYERS, policy.every)
    stopping = (k for n, k in enumerate(looks, start=1) if stops(policy, seen, looks[:n]))
    return next(stopping, LAYERS)


class RandomTrace:
    """All that a policy may see, of random distributions that drift from layer to layer. [layers, positions] each"""

    num_layers, num_positions = LAYERS, POSITIONS

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.position = rng.integers(0, LONGEST, POSITIONS)
        self.length = np.full(POSITIONS, LONGEST)
        self.key = rng.integers(0, 2**64, POSITIONS, dtype=np.uint64)
        self.statistics = statistics(rng)

    def at_layer(self, name, layer, going):
        return self.statistics[name][layer - 1]

    def all_layers(self, name):
        return self.statistics[name]


def statistics(rng):
    logits = rng.normal(0, 1, (LAYERS, POSITIONS, VOCAB)).cumsum(axis=0)  # a walk: later layers often agree
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    second, first = np.moveaxis(np.sort(probs, axis=-1)[..., -2:], -1, 0)
    cosine, divergence = rng.uniform(-0.2, 1, first.shape), np.empty(first.shape)
    divergence[1:] = entropy((probs[1:] + probs[:-1]) / 2) - (entropy(probs[1:]) + entropy(probs[:-1])) / 2
    cosine[0], divergence[0] = -1, np.log(2)  # what stands in a trace at layer 1, which has no layer before it
    return {
        "top1": probs.argmax(axis=-1),
        "max_prob": first,
        "top2_margin": first - second,
        "entropy": entropy(probs),
        "entropy_norm": entropy(probs) / np.log(VOCAB),
        "state_cosine": cosine,
        "divergence": divergence,
    }


def entropy(probs):
    return -(probs * np.log(probs)).sum(axis=-1)
''')


@dataclass(frozen=True)
class NewPolicy:
    """A policy to be begun.

    Attributes:
        module: its module's name, as in my_policy; its class is then MyPolicy and its name my-policy.
        folder: where its files go.
    """

    module: str
    folder: Path

    @property
    def policy_class(self) -> str:
        return "".join(word[:1].upper() + word[1:] for word in self._words)

    @property
    def name(self) -> str:
        return "-".join(self._words) if self.module.islower() else kebab_case(self.policy_class)

    @property
    def _words(self) -> list[str]:
        return [word for word in self.module.split("_") if word]

    @property
    def file(self) -> Path:
        return self.folder / f"{self.module}.py"

    @property
    def test(self) -> Path:
        return self.folder / f"test_{self.module}.py"

    def texts(self) -> dict[Path, str]:
        """File -> what stands in it."""
        named_by_class = kebab_case(self.policy_class) == self.name
        words = {
            "policy_class": self.policy_class,
            "module": self.module,
            "name_line": "" if named_by_class else f'    name = "{self.name}"\n',
        }
        return {self.file: POLICY.substitute(words), self.test: TEST.substitute(words)}


def write_new(new: NewPolicy) -> None:
    """Write the policy and its test, or neither.

    Raises:
        EEBenchError: its name cannot be a policy's, a file is there already, or the folder cannot be written to.
    """
    why_not = _why_no_name(new)
    if why_not:
        raise EEBenchError(f"'{new.module}' {why_not}.")
    written: list[Path] = []
    try:
        new.folder.mkdir(parents=True, exist_ok=True)
        for path, text in new.texts().items():
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise EEBenchError(f"{error.filename} is there already: take another name or folder.") from None
        raise EEBenchError(f"{new.folder} cannot be written to: {error.strerror or error}.") from None


def _why_no_name(new: NewPolicy) -> str:
    """Why a name cannot be a new policy's, and what to do; empty if it can."""
    another = f"take another name, as in my_{new.module.strip('_')}"
    if not (new.module.isascii() and new.module.isidentifier()) or not new.policy_class.isidentifier():
        return "cannot be the name of a module: take letters, digits and _, as in my_policy"
    if keyword.iskeyword(new.module) or keyword.iskeyword(new.policy_class):
        return f"is a word of Python's own: {another}"
    if new.name in (*builtin_policies(), *RESERVED):
        return f"would be the policy {new.name}, a name that EEBench has already: {another}"
    if hasattr(protocol, new.policy_class):
        return f"would be the class {new.policy_class}, which eebench.policy has as well: {another}"
    if not new.file.exists() and (new.module in sys.modules or find_spec(new.module)):
        return f"is a module that is installed here: {another}"
    return ""
