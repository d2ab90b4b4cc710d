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

from eebench.errors import EEBenchError
from eebench.policy import ExitPolicy

BUILTIN = "eebench.policies"
"""The package of the policies that came with EEBench."""

FILE_MODULE = "eebench_policy_"
"""What the name of a module that was read from a file begins with."""


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
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise EEBenchError(f"no policy file at {path}: give the path of a Python file that exists.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise EEBenchError(f"{path} could not be read: {error.strerror or error}.") from error
    name = f"{FILE_MODULE}{hashlib.sha256(str(file).encode() + content).hexdigest()[:16]}"
    return sys.modules.get(name) or _run_module(name, path, file, content)


def _run_module(name: str, path: str, file: Path, content: bytes) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # pydantic looks up annotations in the module by its name
    try:
        exec(compile(content, str(file), "exec", dont_inherit=True), vars(module))
        for policy in policies_in(module):
            policy.model_rebuild()  # raises where a postponed annotation names nothing
    except BaseException as error:  # a contributor's file may raise anything
        del sys.modules[name]
        if not isinstance(error, (Exception, SystemExit)):
            raise
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
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    first = message.strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
