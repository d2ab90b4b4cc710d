"""Finding policies: those that came with EEBench, and those in a file."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from eebench.errors import EEBenchError, unknown
from eebench.policy import ExitPolicy

POLICIES_PACKAGE = import_module("eebench.policies")

KINDS = ("policy", "control", "bound")


@cache
def builtin_policies() -> dict[str, type[ExitPolicy]]:
    """The policies that came with EEBench, by name: policies first, then controls, then bounds."""
    modules = (
        import_module(f"{POLICIES_PACKAGE.__name__}.{found.name}")
        for found in pkgutil.iter_modules(POLICIES_PACKAGE.__path__)
    )
    policies = [policy for module in modules for policy in _policies_in(module)]
    return {policy.name: policy for policy in sorted(policies, key=lambda p: (KINDS.index(p.kind), p.name))}


def find_policy(name: str) -> type[ExitPolicy]:
    """A built-in policy.

    Raises:
        EEBenchError: there is none of this name.
    """
    try:
        return builtin_policies()[name]
    except KeyError:
        hint = "`eebench policies` lists them; a file of your own is written ./my_policy.py."
        raise unknown("policy", name, builtin_policies(), hint) from None


def load_policy_file(path: Path, class_name: str | None = None) -> type[ExitPolicy]:
    """The policy in a file, or the one of this class name where there are several.

    Raises:
        EEBenchError: the file cannot be read or run, or does not hold the one policy that is wanted.
    """
    policies = {policy.__name__: policy for policy in _policies_in(_import_file(path))}
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
    return policy


def source_hash(policy: type[ExitPolicy]) -> tuple[bool, str]:
    """Whether a policy is built in, and the SHA-256 of the file it came from."""
    builtin = policy.__module__.startswith(f"{POLICIES_PACKAGE.__name__}.")
    return builtin, _file_hash(inspect.getfile(policy))


@cache
def _file_hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _policies_in(module: ModuleType) -> list[type[ExitPolicy]]:
    """The policies a module defines itself, in order; what it imports to build on does not count."""
    members = (member for member in vars(module).values() if isinstance(member, type))
    return [
        member
        for member in members
        if issubclass(member, ExitPolicy) and member.__module__ == module.__name__ and not inspect.isabstract(member)
    ]


@cache
def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise EEBenchError(f"no policy file at {path}: give the path of a Python file that exists.")
    name = f"eebench_policy_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks up annotations in the module by its name
    try:
        spec.loader.exec_module(module)
    except EEBenchError:
        raise
    except Exception as error:  # a contributor's file may raise anything
        del sys.modules[name]
        raise EEBenchError(
            f"{path} could not be read{_line_in(path, error)}: {type(error).__name__}: {error}"
        ) from error
    return module


def _line_in(path: Path, error: Exception) -> str:
    """Which line of the file raised, where it can be told."""
    if isinstance(error, SyntaxError):
        return f" at line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" at line {lines[-1]}" if lines else ""
