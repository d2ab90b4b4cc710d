"""Policies of installed packages: the entry points of the group `eebench.policies`.

An entry point has the policy's name and stands for its class, or for a module that defines one policy. Its name is read
from the package's metadata; the package itself is imported only when the policy is used.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from eebench.errors import EEBenchError
from eebench.plugins.modules import is_policy, not_theirs, one_line, policies_in, source_hash
from eebench.policy import ExitPolicy

GROUP = "eebench.policies"

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Entry:
    """A policy that an installed package names.

    Attributes:
        package: name and version of the package.
        refused: why it cannot be used, where that is known without importing it.
    """

    point: EntryPoint
    package: str
    refused: str = ""

    @property
    def name(self) -> str:
        return self.point.name

    def load(self) -> type[ExitPolicy]:
        """The policy, imported.

        Raises:
            EEBenchError: it cannot be used: it raised, or is not the one policy that its entry point names.
        """
        if self.refused:
            raise EEBenchError(self.refused)
        policy = self._imported()
        if policy.name != self.name:
            raise EEBenchError(f"{self} is a policy named {policy.name}: its entry point should be named so as well.")
        return policy

    def _imported(self) -> type[ExitPolicy]:
        try:
            policy = _one_policy(self.point.load())
            policy.model_rebuild()  # raises where a postponed annotation names nothing
            source_hash(policy)  # now: the file may be edited while a run goes on
        except BaseException as error:  # a contributor's package may raise anything
            not_theirs(error)
            reason = error.message if isinstance(error, EEBenchError) else f"{one_line(error)}; mend or uninstall it."
            raise EEBenchError(f"{self} could not be loaded: {reason}") from error
        return policy

    def __str__(self) -> str:
        return f"policy {self.name} of the package {self.package} ({self.point.value})"


def _one_policy(loaded: object) -> type[ExitPolicy]:
    """The class, or the one policy of the module, that an entry point stands for."""
    if is_policy(loaded):
        return loaded
    if not isinstance(loaded, ModuleType):
        raise EEBenchError("it should be a subclass of eebench.policy.ExitPolicy with a `stops`, or a module with one.")
    policies = policies_in(loaded)
    if len(policies) != 1:
        defined = ", ".join(policy.__name__ for policy in policies) or "no policy"
        raise EEBenchError(f"the module defines {defined}: say which class, as in {loaded.__name__}:MyPolicy.")
    return policies[0]


def entries(taken: Collection[str]) -> list[Entry]:
    """What installed packages name, in order; none of it is imported.

    Args:
        taken: names that a package may not take.
    """
    by_name: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in _named():
        by_name[entry.name].append(entry)
    return [_checked(by_name[name], taken) for name in sorted(by_name)]


def _checked(same_name: Sequence[Entry], taken: Collection[str]) -> Entry:
    """The entry point of a name, refused where it clashes with another: which one is meant nobody can tell."""
    entry = same_name[0]
    if entry.refused:
        return entry
    packages = " and ".join(other.package for other in same_name)
    if entry.name in taken:
        why = f"comes with {packages}, and EEBench has that name itself: its class and entry point need another."
    elif len(same_name) > 1:
        why = f"comes with {packages}, and which is meant cannot be told: uninstall one of them."
    elif not NAME.fullmatch(entry.name):
        why = f"comes with {packages}, and nobody can type its name: it should be of letters, digits, - and _."
    else:
        return entry
    return replace(entry, refused=f"policy {entry.name} {why}")


@cache
def _named() -> tuple[Entry, ...]:
    """The entry points as the packages' metadata has them."""
    try:
        return tuple(Entry(point, _package(point)) for point in entry_points(group=GROUP))
    except Exception as error:  # one package's damaged metadata makes all of it unreadable, and is no reason to stop
        why = f"the entry points of the installed packages could not be read, so none is used: {one_line(error)}."
        return (Entry(EntryPoint("", "", GROUP), "", why),)


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
