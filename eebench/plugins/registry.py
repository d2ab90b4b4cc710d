"""Finding policies: those that came with EEBench, those of installed packages, and those in a file."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from eebench.errors import EEBenchError, unknown
from eebench.plugins.installed import Entry, entries
from eebench.plugins.modules import BUILTIN, policies_in, read_module
from eebench.plugins.modules import source_hash as source_hash
from eebench.policy import ExitPolicy

KINDS = ("policy", "control", "bound")

RESERVED = ("all",)
"""What the grammar of settings gives a meaning of its own."""


@cache
def builtin_policies() -> dict[str, type[ExitPolicy]]:
    """The policies that came with EEBench, by name: policies first, then controls, then bounds."""
    found = pkgutil.iter_modules(import_module(BUILTIN).__path__)
    modules = [import_module(f"{BUILTIN}.{module.name}") for module in found]
    policies = [policy for module in modules for policy in policies_in(module)]
    return {policy.name: policy for policy in sorted(policies, key=lambda p: (KINDS.index(p.kind), p.name))}


def installed_policies() -> dict[str, Entry]:
    """What installed packages name, by name, none of it imported yet."""
    return {entry.name: entry for entry in entries({*builtin_policies(), *RESERVED})}


def find_policy(name: str) -> type[ExitPolicy]:
    """A built-in policy, or that of an installed package.

    Raises:
        EEBenchError: there is none of this name, or the package's cannot be used.
    """
    if name in builtin_policies():
        return builtin_policies()[name]
    installed = installed_policies()
    if name in installed:
        return installed[name].load()
    hint = "See `eebench policies`; a file of your own is written ./my_policy.py."
    raise unknown("policy", name, [*builtin_policies(), *installed], hint)


def load_policy_file(path: str, class_name: str | None = None) -> type[ExitPolicy]:
    """The policy in a file, or the one of this class name where there are several.

    Raises:
        EEBenchError: the file cannot be read or run, or does not hold the one policy that is wanted.
    """
    policies = {policy.__name__: policy for policy in policies_in(read_module(path))}
    if not policies:
        raise EEBenchError(f"{path} defines no policy: give it a subclass of eebench.policy.ExitPolicy with a `stops`.")
    if class_name is None:
        if len(policies) > 1:
            raise EEBenchError(f"{path} defines {', '.join(policies)}: say which, as in {path}:{next(iter(policies))}.")
        (class_name,) = policies
    if class_name not in policies:
        raise unknown(f"policy in {path}", class_name, policies, f"It defines {', '.join(policies)}.")
    policy = policies[class_name]
    if policy.name in builtin_policies():
        raise EEBenchError(
            f"class {class_name} in {path} has the name of the built-in policy '{policy.name}': rename the class, or "
            f"give it a `name` of its own."
        )
    source_hash(policy)  # now: the file may be edited while a run goes on
    return policy
