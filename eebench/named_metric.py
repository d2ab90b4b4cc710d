"""The metric that quality is measured in where a user names one, in place of each task's own main metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eebench.errors import EEBenchError
from eebench.harness import LoadedTask, TaskOptions
from eebench.metrics import find_metric, metrics_of, spelled


@dataclass(frozen=True)
class NamedMetric:
    """A metric that one task defines or more.

    Attributes:
        name: `acc_norm`, or with a filter as lm-eval spells it, `exact_match,flexible-extract`.
        lacking: tasks that do not define it, by name.
    """

    name: str
    lacking: Sequence[str] = ()

    def of(self, task: LoadedTask) -> str | None:
        """What to measure a task in; None: its own main metric."""
        return None if task.name in self.lacking else self.name

    def keeps_their_own(self) -> str:
        """Which tasks are measured in something else."""
        tasks = ", ".join(self.lacking)
        return f"metric {self.name} is not defined by {tasks}, where quality stays the task's own main metric."


def named_metric(name: str, tasks: Sequence[LoadedTask], options: TaskOptions) -> NamedMetric:
    """Look for a metric in tasks, before any model is loaded.

    Raises:
        EEBenchError: none of them defines it.
    """
    defined = {task.name: metrics_of(task, options) for task in tasks}
    lacking = [task for task, metrics in defined.items() if find_metric(name, metrics) is None]
    if len(lacking) == len(defined):
        there = dict.fromkeys(metric for metrics in defined.values() for metric in spelled(metrics))
        raise EEBenchError(f"no task here defines a metric '{name}': there are {', '.join(there)}.")
    return NamedMetric(name, tuple(lacking))
