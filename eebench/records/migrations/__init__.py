"""The database schema and its history, by Alembic. To change the schema: edit `eebench/records/tables.py`, add the next
file in `versions/`, and set `HEAD` to its revision.

Alembic takes a while to import, so it is imported only when a database is not at `HEAD` already.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"
"""The revision this EEBench reads and writes."""

FOLDER = Path(__file__).parent

VERSION_TABLE = "eebench_version"
"""Holds the revision a database is at; its own name tells EEBench's databases from other users' of Alembic."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration for these migrations, to run on `connection`."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def knows(revision: str) -> bool:
    """Whether a database at `revision` can be upgraded to `HEAD`."""
    from alembic.script import ScriptDirectory

    return revision in {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}


def upgrade(connection: Connection) -> None:
    """Bring the database from the revision it is at (or from nothing) to `HEAD`, in the connection's transaction."""
    from alembic import command

    command.upgrade(config(connection), "head")
