"""EEBench's own tasks, known without importing lm-eval."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

TASKS_PACKAGE = import_module("eebench.tasks")


def own_tasks_dir() -> Path:
    """The folder that holds EEBench's own lm-eval tasks."""
    return Path(TASKS_PACKAGE.__path__[0])


def _named_tasks() -> dict[str, Path]:
    """Task name -> its YAML file."""
    names = {}
    for path in sorted(own_tasks_dir().glob("*/*.yaml")):
        named = re.search(r"^task:\s*(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if named:
            names[named.group(1)] = path
    return names


OWN_TASKS = _named_tasks()
"""Task name -> its YAML file, in alphabetical order."""

GENERATION_TASKS = tuple(
    name for name, path in OWN_TASKS.items() if "_generation.yaml" in path.read_text(encoding="utf-8")
)
"""Those in which the model writes its answer."""
