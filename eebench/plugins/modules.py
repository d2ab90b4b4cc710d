"""Modules that hold policies: what they define, and reading one from a file that may hold anything."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

from eebench import statistics
from eebench.errors import EEBenchError
from eebench.policy import ExitPolicy

BUILTIN = "eebench.policies"
"""The package of the policies that came with EEBench."""

FILE_MODULE = "eebench_policy_"
"""What the name of a module that was read from a file begins with."""


_READ: dict[str, tuple[Path, bytes]] = {}
"""Module -> the file it was read from, and what stood in it then: the file may be another by now, or gone."""


class ModuleRaised(EEBenchError):
    """A module of policies raised while it was read."""


def policies_in(module: ModuleType) -> list[type[ExitPolicy]]:
    """The policies a module defines itself, in order; what it imports to build on does not count."""
    return [member for member in vars(module).values() if is_policy(member) and member.__module__ == module.__name__]


def is_policy(thing: object) -> TypeGuard[type[ExitPolicy]]:
    """Whether it is a class of policies that can be made."""
    return isinstance(thing, type) and issubclass(thing, ExitPolicy) and not inspect.isabstract(thing)


@cache
def source_hash(policy: type[ExitPolicy]) -> tuple[bool, str]:
    """Whether a policy is built in, and the SHA-256 of the file it came from."""
    builtin = policy.__module__.startswith(f"{BUILTIN}.")
    return builtin, hashlib.sha256(Path(inspect.getfile(policy)).read_bytes()).hexdigest()


def read_module(path: str) -> ModuleType:
    """The module in a file: the same one as long as its content is the same.

    Raises:
        EEBenchError: there is no such file, or it cannot be opened.
        ModuleRaised: it raised.
    """
    try:
        file = Path(path).expanduser().resolve()
        if not file.is_file():
            raise EEBenchError(f"no policy file at {path}: give the path of a Python file that exists.")
        content = file.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, no such user, a path that cannot be
        raise EEBenchError(f"{path} could not be read: {getattr(error, 'strerror', '') or one_line(error)}.") from error
    name = f"{FILE_MODULE}{hashlib.sha256(str(file).encode() + content).hexdigest()[:16]}"
    if name not in sys.modules:
        _run_module(name, path, file, content)
        _READ[name] = file, content
    return sys.modules[name]


def anew(policy: type[ExitPolicy]) -> type[ExitPolicy]:
    """The class of a policy from its module run once more, so that it knows of nothing that the first one has seen.

    A class that its module does not define by name is returned as it is.

    Raises:
        EEBenchError: its file cannot be read.
        ModuleRaised: it raised.
    """
    first = sys.modules.get(policy.__module__)
    if first is None or policy not in policies_in(first):
        return policy
    try:
        file, content = _READ.get(first.__name__) or (file := Path(inspect.getfile(policy)), file.read_bytes())
    except OSError as error:
        raise EEBenchError(f"the file of policy {policy.name} could not be read: {error.strerror or error}.") from error
    registered = dict(statistics.REGISTRY)
    module = _run_module(f"{first.__name__}_anew", str(file), file, content, first.__package__)
    statistics.REGISTRY.update(registered)  # what it registers once more is there already
    return next((one for one in policies_in(module) if one.__name__ == policy.__name__), policy)


def _run_module(name: str, path: str, file: Path, content: bytes, package: str | None = None) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(file)
    module.__package__ = package
    sys.modules[name] = module  # pydantic looks up annotations in the module by its name
    try:
        exec(compile(content, str(file), "exec", dont_inherit=True), vars(module))
        for policy in policies_in(module):
            policy.model_rebuild()  # raises where a postponed annotation names nothing
    except BaseException as error:  # a contributor's file may raise anything
        sys.modules.pop(name, None)
        not_theirs(error)
        raise ModuleRaised(f"{path} could not be read{line_in(file, error)}: {one_line(error)}.") from error
    return module


def line_in(file: Path, error: BaseException) -> str:
    """Which line of a file raised, as in " at line 3"; empty where it cannot be told."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    if isinstance(error, SyntaxError) and error.filename == str(file):
        lines.append(error.lineno)
    return f" at line {lines[-1]}" if lines and lines[-1] else ""


def one_line(error: BaseException) -> str:
    """An error as the end of a sentence, without its full stop: pydantic's, for one, go on for several lines."""
    first = _message(error)
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _message(error: BaseException) -> str:
    """The first line of what an error says, of what can be printed; an error of a contributor's may fail even there."""
    try:
        message = str(error.msg if isinstance(error, SyntaxError) else error)
    except BaseException as failed:  # a contributor's code may raise anything
        not_theirs(failed)
        return ""
    first = message.strip().partition("\n")[0].rstrip(".")
    return "".join(character if character.isprintable() else " " for character in first)


def not_theirs(error: BaseException) -> None:
    """Go on with an interrupt by the person at the keyboard: all else that ends a policy's code is a fault of its own.

    Code that others have written may raise anything, `SystemExit` included, which would otherwise end the program as
    if all were well.
    """
    if isinstance(error, KeyboardInterrupt):
        raise error
