"""Where a policy stands among others on traces: a ranking without the model, its weights, or the task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from eebench.errors import EEBenchError
from eebench.plugins.modules import one_line
from eebench.progress import Progress
from eebench.published.kept_traces import DESCRIPTION, KeptTrace, published_in
from eebench.published.replaying import NOT_MEASURED, DocumentRows, replay_kept
from eebench.ranking import rank as ranking
from eebench.ranking.board import Board, RankBy
from eebench.spec import parse_policies
from eebench.statistics import fingerprint


def standing(
    policy: str, traces: Sequence[KeptTrace], among: Sequence[str], by: RankBy, progress: Progress | None = None
) -> Board:
    """The ranking of a policy among others on traces of likelihood tasks; its places are the first sentences.

    Args:
        policy: in the grammar of the command line, as `among` are; a file may have several.

    Returns:
        Rows of all policies, and the results of the one alone; EE-scores by quality are None.

    Raises:
        EEBenchError: a policy cannot be had or raised, or a trace is damaged.
    """
    try:
        specs = parse_policies([policy, *among])
        own = {spec.policy.name for spec in parse_policies([policy])}
        results = replay_kept(traces, specs, progress)
    except BaseException as error:
        if isinstance(error, (Exception, KeyboardInterrupt)):
            raise
        # the policy's: it could end the program as if all were well
        raise EEBenchError(f"policy {policy} ended the program, with {one_line(error)}; mend its file.") from error
    board = ranking.rank(results, by, DocumentRows(results))
    return replace(
        board,
        results=[stored for stored in board.results if stored.result.policy in own],
        summary=[*_places(board, own), *board.summary],
        notes=[note for note in board.notes if NOT_MEASURED not in note],
    )


def _places(board: Board, own: Collection[str]) -> list[str]:
    ranked = sum(row.rank is not None for row in board.ranking)
    return [f"{row.policy}: rank {row.rank} of {ranked}." for row in board.ranking if row.policy in own and row.rank]


def shipped_folder() -> Path:
    """Where the published traces lie that come with EEBench."""
    return Path(str(files("eebench.leaderboard"))) / "traces"


def shipped_traces() -> list[KeptTrace]:
    """The published traces that come with EEBench.

    Raises:
        EEBenchError: this installation has none, or they lack a statistic that a policy has registered.
    """
    folder = shipped_folder()
    if not any(folder.glob(f"*/{DESCRIPTION}")):
        raise EEBenchError(
            "there are no traces: `eebench run` makes them, or name a published one with `eebench rank --trace`."
        )
    traces = published_in(folder)
    if any(kept.key.statistics != fingerprint() for kept in traces):
        raise EEBenchError(
            "the traces that come with EEBench have the built-in statistics alone, and a policy has registered one of "
            "its own: `eebench run -p` makes traces with it."
        )
    return traces


def as_data(board: Board, policies: Collection[str]) -> list[dict[str, Any]]:
    """The rows of some policies, for other programs."""
    return [
        {
            "policy": row.policy,
            "rank": row.rank,
            "of": sum(other.rank is not None for other in board.ranking),
            "ee_score": row.ee_score_layers,
            "interval": row.interval_layers,
            "models": row.n_models,
            "tasks": row.n_tasks,
        }
        for row in board.ranking
        if row.policy in policies
    ]
