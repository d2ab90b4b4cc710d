"""EEBench: a benchmark suite and leaderboard for early exit in language models.

import eebench

traced = eebench.trace("smollm2-135m", "eebench_facts", limit=100)    # one pass over the model
eebench.replay(traced, "entropy")                                     # a frame: a row per setting
results, ranking = eebench.evaluate("all", tasks=["eebench_facts"])   # frames: settings, and the board
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eebench.api import evaluate, replay, trace

__all__ = ["evaluate", "replay", "trace"]


def __getattr__(name: str) -> Any:
    """The API is imported when it is used: torch and lm-eval take seconds."""
    if name in __all__:
        from eebench import api

        return getattr(api, name)
    raise AttributeError(f"module 'eebench' has no attribute '{name}'")
