"""`eebench leaderboard`: bundles that others have sent, checked and kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eebench.cli.options import comma_separated, db_option
from eebench.errors import EEBenchError
from eebench.records.results import KV_MODES, KvMode

if TYPE_CHECKING:
    from eebench.published.kept_traces import KeptTrace
    from eebench.ranking.board import RankBy
    from eebench.submission.accepted import Accepted
    from eebench.submission.bundles import Bundle
    from eebench.submission.checks import Proof
    from eebench.submission.submissions import Leaderboard
    from eebench.submission.verification import Report

MOST_REASONS = 3
"""Reasons that are given of one entry; one edit often shows in many figures."""
MOST_SETTINGS = 3
"""Settings that are named where several are refused for the same reason."""

_FILE_WIDTH = 120

run_policies_option = click.option(
    "--run-policies",
    is_flag=True,
    help="Run the code of submitted policies, to replay them: only after you have read it. Else none of it is run.",
)


@click.group()
def leaderboard() -> None:
    """Check bundles, and keep those that hold.

    A bundle's figures are made again from its rows, and its rows from the trace they came from where that is in the
    trace cache or in DIR/traces. No submitted code is run unless --run-policies is given: a built-in policy is replayed
    by the built-in code, whatever the bundle says.
    """


@leaderboard.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The leaderboard's folder.  [default: ./leaderboard]",
)
@run_policies_option
def add(bundle: Path, into: Path | None, run_policies: bool) -> None:
    """Check BUNDLE, and add it if nothing in it is refused. Its code is not run unless --run-policies is given."""
    from eebench.submission.accepted import Accepted
    from eebench.submission.bundles import read_bundle
    from eebench.submission.submissions import find_leaderboard

    board = find_leaderboard(into, make=True)
    read = read_bundle(bundle)
    if board.has(read):
        click.echo(f"{bundle} is on the leaderboard already, as {read.name}.", err=True)
        raise SystemExit(1)
    report = _of_submission(read, board, Accepted.of(board.bundles()), run_policies)
    if report.refused:
        click.echo(f"{bundle} was not added.", err=True)
        raise SystemExit(1)
    place = board.add(bundle, read)
    _keep(board, report)
    click.echo(f"Added to {place}.")


@leaderboard.command()
@click.argument("path", type=click.Path(path_type=Path), required=False, metavar="[BUNDLE|DIR]")
@click.option(
    "--against",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The leaderboard that a bundle is checked against.  [default: ./leaderboard, if there is one]",
)
@click.option("--keep", is_flag=True, help="Of a leaderboard: keep what is found beside its bundles, as `add` does.")
@run_policies_option
def verify(path: Path | None, against: Path | None, keep: bool, run_policies: bool) -> None:
    """Check a bundle, or all bundles of a leaderboard. Exit code 1: something is refused."""
    from eebench.submission.submissions import find_leaderboard, is_leaderboard

    if path is None or is_leaderboard(path):
        board = find_leaderboard(path)
        reports = list(_of_all(board, run_policies, keep))
        for report in reports if keep else ():
            if not report.refused:
                _keep(board, report)
    elif keep:
        raise EEBenchError(f"--keep goes with a leaderboard, and {path} is none.")
    else:
        reports = [_of_one(path, against, run_policies)]
    if any(report.refused for report in reports):
        raise SystemExit(1)


def _keep(board: Leaderboard, report: Report) -> None:
    from eebench.submission.checks import keep_check

    try:
        keep_check(board.folder, report)
    except OSError as error:
        raise EEBenchError(f"{board.folder} cannot be written ({error.strerror or error}).") from None


def _of_all(board: Leaderboard, run_policies: bool, keep: bool) -> Iterator[Report]:
    from eebench.submission.accepted import Accepted
    from eebench.submission.bundles import read_bundle
    from eebench.submission.verification import Refusal, Report

    accepted = Accepted()
    for place in board.in_order_of_acceptance:
        try:
            bundle = read_bundle(place)
        except EEBenchError as error:  # the others are still to be checked
            report = Report(place.name, refusals=[Refusal("", "", error.message.rstrip("."))])
        else:
            report = _verified(bundle, board, accepted, run_policies)
            _compare_with_kept(board, place, bundle, report, keep)
            if not report.refused:
                accepted.add(bundle)
        _show(report)
        yield report
    if not board.places:
        click.echo(f"No bundles yet in {board.folder}: `eebench leaderboard add` adds one.")


def _compare_with_kept(board: Leaderboard, place: Path, bundle: Bundle, report: Report, keep: bool) -> None:
    """Whether a bundle is what was accepted, and what was found of it then is still so; not where that is replaced."""
    from eebench.submission.checks import contradicted, read_check, unconfirmed
    from eebench.submission.submissions import in_the_future, misplaced

    report.refuse(misplaced(place, bundle))
    if text := in_the_future(bundle):  # no refusal: it has been accepted, and the clock that is wrong may be this one
        report.note(f"{text}: it is ranked as the oldest.")
    if keep:
        return
    try:
        check = read_check(board.folder, bundle.name)
    except EEBenchError as error:
        report.refuse([error.message.rstrip(".")])
        return
    if check and not report.refuse(contradicted(check, bundle)):
        report.note(f"{text}." if (text := unconfirmed(check, report)) else "")


def _of_one(path: Path, against: Path | None, run_policies: bool) -> Report:
    from eebench.submission.accepted import Accepted
    from eebench.submission.bundles import read_bundle
    from eebench.submission.submissions import find_leaderboard, is_leaderboard

    bundle = read_bundle(path)
    board = find_leaderboard(against) if against or is_leaderboard(Path("leaderboard")) else None
    others = (other for other in board.bundles() if other.digest != bundle.digest) if board else ()
    return _of_submission(bundle, board, Accepted.of(others), run_policies)


def _of_submission(bundle: Bundle, board: Leaderboard | None, accepted: Accepted, run_policies: bool) -> Report:
    from eebench.submission.submissions import in_the_future

    report = _verified(bundle, board, accepted, run_policies)
    report.refuse(filter(None, [in_the_future(bundle)]))
    _show(report)
    return report


def _verified(bundle: Bundle, board: Leaderboard | None, accepted: Accepted, run_policies: bool) -> Report:
    from eebench.statistics import REGISTRY, fingerprint
    from eebench.submission.submitted_code import Ran, run_sources
    from eebench.submission.verification import Beside, verify

    own, registered = fingerprint(), dict(REGISTRY)  # before a policy registers statistics of its own
    try:
        ran = run_sources(bundle) if run_policies else Ran()
        return verify(bundle, Beside(_traces(board), accepted, ran.classes, [own, fingerprint()], ran.broken))
    finally:  # what one bundle's policies have registered is not there for the next one's
        REGISTRY.clear()
        REGISTRY.update(registered)


def _traces(board: Leaderboard | None) -> Sequence[KeptTrace]:
    from eebench.cache import traces_dir
    from eebench.published.kept_traces import in_cache
    from eebench.traces.cache import TraceCache

    return [*(board.traces() if board else ()), *in_cache(TraceCache(traces_dir()))]


# --- what is printed ---------------------------------------------------------------------------------------------


def _show(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    counts = Counter(entry.status for entry in report.entries)
    said = ", ".join(f"{counts[status]} {status}" for status in ("verified", "consistent", "REFUSED") if counts[status])
    console.print(Text(f"{report.name}: {said or 'REFUSED'}", "bold"))
    for (status, where, because), policies in _alike(report).items():
        entries = ", ".join(f"{policy} {count}" for policy, count in policies.items())
        console.print(Text(f"  {status:<10} {where}: {entries}{f' ({because})' if because else ''}"))
    for (where, why), settings in _refused(report).items():
        place = ", ".join([*([where] if where else []), *_some(settings)])
        console.print(Text(f"  REFUSED    {f'{place}: ' if place else ''}{why}.", "red"))
    for note in report.notes:
        console.print(Text(f"  Note: {note}", "dim"))


def _alike(report: Report) -> dict[tuple[str, str, str], Counter[str]]:
    """How many entries of each policy are alike, by status, evaluation and reason; the refused are named one by one."""
    alike: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for entry in report.entries:
        if entry.status != "REFUSED":
            alike[entry.status, entry.where, entry.because][entry.policy] += 1
    return alike


def _refused(report: Report) -> dict[tuple[str, str], list[str]]:
    """The settings that are refused, by evaluation and reason; a few reasons of each, since one edit shows in many."""
    reasons: Counter[tuple[str, str]] = Counter()
    refused: dict[tuple[str, str], list[str]] = defaultdict(list)
    for refusal in report.refusals:
        reasons[refusal.where, refusal.setting] += 1
        if reasons[refusal.where, refusal.setting] <= MOST_REASONS:
            refused[refusal.where, refusal.why] += [refusal.setting] if refusal.setting else []
    return refused


def _some(settings: Sequence[str]) -> list[str]:
    more = len(settings) - MOST_SETTINGS
    return [*settings[:MOST_SETTINGS], *([f"and {more} settings more"] if more > 0 else [])]


@leaderboard.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False, metavar="[DIR]")
@click.option("--model", "-m", "models", multiple=True, callback=comma_separated, help="Only these models.")
@click.option("--task", "-t", "tasks", multiple=True, callback=comma_separated, help="Only these tasks.")
@click.option(
    "--rank-by", "by", type=click.Choice(["layers", "compute", "quality"]), default="layers", show_default=True
)
@click.option("--kv-mode", type=click.Choice(KV_MODES), default="full", show_default=True)
def rank(folder: Path | None, models: Sequence[str], tasks: Sequence[str], by: RankBy, kv_mode: KvMode) -> None:
    """Rank what is on a leaderboard, as `eebench report` ranks a database."""
    from eebench.published.replaying import DocumentRows
    from eebench.ranking import rank as ranking
    from eebench.reports.terminal import show
    from eebench.submission.checks import read_checks
    from eebench.submission.standings import standings
    from eebench.submission.submissions import find_leaderboard

    at = find_leaderboard(folder)
    found = standings(at.bundles(), models, tasks, kv_mode)
    board = ranking.rank(found.results, by, DocumentRows(found.results))
    proofs = read_checks(at.folder, found.bundles).by_policy(found.results)
    show(replace(board, notes=[*board.notes, *found.notes, *_proved(proofs)]), Console())


def _proved(proofs: Mapping[str, Proof]) -> Iterator[str]:
    """Which policies are verified, and which not."""
    said: dict[Proof, str] = {
        "verified": "Verified by the traces they were made from",
        "in part": "Verified in part, where the trace was at hand",
        "consistent": "Not verified by a trace, but consistent with their rows",
    }
    for proof, words in said.items():
        if some := [policy for policy, found in proofs.items() if found == proof]:
            yield f"{words}: {', '.join(some)}."


@leaderboard.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False, metavar="[DIR]")
@db_option
def load(folder: Path | None, db: str | None) -> None:
    """Put all bundles into a database, for `report`, `compare` and `plot`; nothing in it is overwritten."""
    from eebench.records.store import Store
    from eebench.submission.loading import load as load_bundles
    from eebench.submission.submissions import find_leaderboard

    board = find_leaderboard(folder)
    if not board.places:
        raise EEBenchError(f"there are no bundles in {board.folder}: `eebench leaderboard add` adds one.")
    bundles = list(board.bundles())
    with Store.open(db) as store:
        runs = load_bundles(bundles, store)
    click.echo(f"Loaded {len(runs)} bundles from {board.folder}: eebench report ranks them.")


@leaderboard.command("list")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False, metavar="[DIR]")
def list_bundles(folder: Path | None) -> None:
    """List what is on a leaderboard: bundles, and the policies that were measured on each (model, task)."""
    from eebench.submission.submissions import find_leaderboard

    board = find_leaderboard(folder)
    table = Table("bundle", "model", "task", "KV mode", "documents", "policies", box=None, pad_edge=False)
    for bundle in board.bundles():
        for measured in bundle.evaluations:
            one = measured.evaluation
            policies = dict.fromkeys(result.policy for result in measured.results if result.kind == "policy")
            cells = (bundle.name, one.model, one.task, one.kv_mode, str(one.n_docs), ", ".join(policies))
            table.add_row(*map(Text, cells))
    if not table.row_count:
        click.echo(f"No bundles yet in {board.folder}: `eebench leaderboard add` adds one.")
        return
    console = Console(highlight=False)
    (console if console.is_terminal else Console(width=_FILE_WIDTH, highlight=False)).print(table)
