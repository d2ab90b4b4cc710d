"""Finding policies: those that came with EEBench, and those in a file."""

from __future__ import annotations

import hashlib
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
        hint = "See `eebench policies`; a file of your own is written ./my_policy.py."
        raise unknown("policy", name, builtin_policies(), hint) from None


def load_policy_file(path: str, class_name: str | None = None) -> type[ExitPolicy]:
    """The policy in a file, or the one of this class name where there are several.

    Raises:
        EEBenchError: the file cannot be read or run, or does not hold the one policy that is wanted.
    """
    policies = {policy.__name__: policy for policy in _policies_in(_read_module(path))}
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


@cache
def source_hash(policy: type[ExitPolicy]) -> tuple[bool, str]:
    """Whether a policy is built in, and the SHA-256 of the file it came from."""
    builtin = policy.__module__.startswith(f"{POLICIES_PACKAGE.__name__}.")
    return builtin, hashlib.sha256(Path(inspect.getfile(policy)).read_bytes()).hexdigest()


def _policies_in(module: ModuleType) -> list[type[ExitPolicy]]:
    """The policies a module defines itself, in order; what it imports to build on does not count."""
    members = (member for member in vars(module).values() if isinstance(member, type))
    return [
        member
        for member in members
        if issubclass(member, ExitPolicy) and member.__module__ == module.__name__ and not inspect.isabstract(member)
    ]


def _read_module(path: str) -> ModuleType:
    """The module in a file: the same one as long as its content is the same."""
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise EEBenchError(f"no policy file at {path}: give the path of a Python file that exists.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise EEBenchError(f"{path} could not be read: {error.strerror or error}.") from error
    name = f"eebench_policy_{hashlib.sha256(str(file).encode() + content).hexdigest()[:16]}"
    return sys.modules.get(name) or _run_module(name, path, file, content)


def _run_module(name: str, path: str, file: Path, content: bytes) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # pydantic looks up annotations in the module by its name
    try:
        exec(compile(content, str(file), "exec", dont_inherit=True), vars(module))
        for policy in _policies_in(module):
            policy.model_rebuild()  # raises where a postponed annotation names nothing
    except BaseException as error:  # a contributor's file may raise anything
        del sys.modules[name]
        if not isinstance(error, (Exception, SystemExit)):
            raise
        raise EEBenchError(f"{path} could not be read{_line_in(file, error)}: {_one_line(error)}.") from error
    return module


def _line_in(file: Path, error: BaseException) -> str:
    """Which line of the file raised, where it can be told."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    if isinstance(error, SyntaxError) and error.filename == str(file):
        lines.append(error.lineno)
    return f" at line {lines[-1]}" if lines and lines[-1] else ""


def _one_line(error: BaseException) -> str:
    """The error as the end of a sentence: pydantic's, for one, go on for several lines."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    first = message.strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
