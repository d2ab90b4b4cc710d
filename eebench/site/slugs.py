"""Where pages are, by the names of what they are about."""

from __future__ import annotations

from eebench.files import slug


def policy_page(name: str) -> str:
    """Where a policy's page is, from the site's root."""
    return f"policy/{slug(name)}.html"


def model_page(name: str) -> str:
    """Where a model's page is."""
    return f"model/{slug(name)}.html"


def task_page(name: str) -> str:
    """Where a task's page is."""
    return f"task/{slug(name)}.html"


def run_page(run_id: int) -> str:
    """Where a run's page is."""
    return f"run/{run_id}.html"
