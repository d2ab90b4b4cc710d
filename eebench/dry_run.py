"""`eebench run --dry-run`: what a run would do and cost, with nothing run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from eebench.catalogue import catalogue
from eebench.run import RunPlan


def show(plan: RunPlan) -> None:
    """Print the plan: models, tasks, documents, settings and estimated cost."""
    console = Console()
    models = Table("model", "layers", "settings", "forward pass", "lens reads", box=None, pad_edge=False)
    tasks = Table("task", "type", "documents", "shots", box=None, pad_edge=False)
    for task in plan.tasks:
        tasks.add_row(task.name, task.output_type, str(task.num_documents(plan.task_options)), str(task.num_fewshot))
    console.print(models, "", tasks)
    assert catalogue()
