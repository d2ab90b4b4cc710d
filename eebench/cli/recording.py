"""What commands share that keep what they measure: a run with its provenance, and how it ended."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eebench.progress import Progress
    from eebench.records.store import Ending, Store


@contextmanager
def recorded(
    db: str | None, seed: int, device: str | None, progress: Progress, if_stopped: str
) -> Iterator[tuple[Store, int]]:
    """A store, and the id of a run that was begun in it and is ended however the block ends.

    Args:
        if_stopped: what to say when it is stopped from the keyboard: what is kept.
    """
    from eebench.models.loading import choose_device
    from eebench.records import provenance
    from eebench.records.store import Store

    on = choose_device(device)
    with Store.open(db) as store:
        run_id = store.begin_run(provenance.collect(_command(db), seed, on, provenance.device_name(on)))
        status: Ending = "failed"
        try:
            yield store, run_id
            status = "finished"
        except KeyboardInterrupt:
            status = "interrupted"
            progress.warn(if_stopped)
            raise SystemExit(130) from None
        finally:
            store.finish_run(run_id, status)


def db_option_of(db: str | None) -> str:
    """What another command needs to find the same database."""
    return f" --db {_shown(db)}" if db and db != os.environ.get("EEBENCH_DB") else ""


def _command(db: str | None) -> str:
    """The command line as it can be kept with the results: a database's password is nobody's business."""
    return shlex.join(
        "eebench" if i == 0 else argument.replace(db, _shown(db)) if db else argument
        for i, argument in enumerate(sys.argv)
    )


def _shown(db: str) -> str:
    from eebench.records.database import parse_url, shown

    return shown(parse_url(db)) if "://" in db else db
