"""`eebench export`: the results of a run as a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from eebench.archives import check_free
from eebench.cli.options import comma_separated, db_option
from eebench.records.store import Store


@click.command()
@click.argument("run", type=click.IntRange(min=1), required=False, metavar="[RUN]")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="A folder that is not there yet, or a file that ends in .tar.gz.",
)
@click.option("--model", "-m", "models", multiple=True, callback=comma_separated, help="Only these models.")
@click.option("--task", "-t", "tasks", multiple=True, callback=comma_separated, help="Only these tasks.")
@click.option(
    "--policy",
    "-p",
    "policies",
    multiple=True,
    callback=comma_separated,
    help="Only these policies, with the full model and the bounds beside them.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The source of a policy of your own, where it is not found by itself.",
)
@click.option("--best", is_flag=True, help="Only the settings that the ranking rests on: the same ranks, fewer lines.")
@db_option
def export(
    run: int | None,
    output: Path,
    models: Sequence[str],
    tasks: Sequence[str],
    policies: Sequence[str],
    sources: Sequence[Path],
    best: bool,
    db: str | None,
) -> None:
    """Write the results of a run to a bundle: small text files that others can check and add to a leaderboard.

    RUN is the run's number in the database, by default the newest finished one. A bundle holds figures and rows per
    document, provenance, and the source of every policy that is not built in; documents and prompts are in it as hashes
    only.

    \b
      eebench export -o my-results
      eebench export 12 -o my-results.tar.gz -p my-policy
    """
    check_free(output)
    with Store.open(db, create=False) as store:
        # Here: pydantic's models take a moment, and a wrong path should be told at once.
        from eebench.submission.bundles import write_bundle
        from eebench.submission.exporting import bundle_of, choose_run

        chosen = choose_run(store, run)
        bundle = bundle_of(store, chosen, models, tasks, policies, sources, best)
    write_bundle(bundle, output)
    entries = sum(len(measured.results) for measured in bundle.evaluations)
    click.echo(f"Run {chosen.id}: {entries} entries on {len(bundle.evaluations)} (model, task) pairs in {output}.")
