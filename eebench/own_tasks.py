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

OWN_TAGS = ("eebench", "eebench_generation")
"""Names for all of them, and for those in which the model writes its answer."""

GENERATION_TASKS = tuple(
    name for name, path in OWN_TASKS.items() if "_generation.yaml" in path.read_text(encoding="utf-8")
)
"""Those in which the model writes its answer."""

LIKELIHOOD_TASKS = tuple(name for name in OWN_TASKS if name not in GENERATION_TASKS)
"""The others; a run measures these unless tasks are named, since no decoding is as quick as one pass."""

DEFAULT_GENERATION_TASK = "eebench_records"
"""Where `eebench time` takes its prompts from."""
