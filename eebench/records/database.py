"""Opening a database: what its URL means, whose it is, and bringing its schema up to date."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import platformdirs
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from eebench import strict_json
from eebench.errors import EEBenchError
from eebench.records import migrations

BUSY_SECONDS = 60
"""How long a writer waits for another to finish its transaction."""

CONNECT_SECONDS = 10
"""How long to wait for a server that does not answer."""

_MIGRATION_LOCK = 0x0EEBE7C4
_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def default_url() -> str:
    """Where results are kept unless told otherwise: `EEBENCH_DB`, or an SQLite file in the user's data folder."""
    return os.environ.get("EEBENCH_DB") or f"sqlite:///{_default_path()}"


def _default_path() -> Path:
    return Path(platformdirs.user_data_dir("eebench", appauthor=False)) / "eebench.db"


def parse_url(url: str) -> URL:
    """An SQLAlchemy URL with a driver EEBench knows, from a URL or a plain path to an SQLite file.

    Raises:
        EEBenchError: it cannot be read, or names a kind of database EEBench does not work with.
    """
    if "://" not in url:
        return URL.create("sqlite+pysqlite", database=str(Path(url).expanduser()))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _unreadable() from None
    driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
    if driver not in _DRIVERS.values():
        raise EEBenchError(f"EEBench keeps results in SQLite or PostgreSQL, not in '{parsed.drivername}'")
    return parsed.set(drivername=driver)


def _unreadable() -> EEBenchError:
    """The error for a URL that makes no sense. It is not repeated: nobody can tell where its password is."""
    return EEBenchError(
        "the database URL cannot be read: write sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME, "
        "with special characters of the password percent-encoded"
    )


def shown(url: URL) -> str:
    """The database as messages name it: a file's path, or a server's URL without its password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)


def reason(url: URL, error: DBAPIError) -> str:
    """The first line of what the driver said, without the password should it be in there."""
    said = str(error.orig).strip().partition("\n")[0].rstrip(" .:")
    return said.replace(str(url.password), "***") if url.password else said


def connect(url: URL, *, create: bool) -> Engine:
    """An engine on a database that is EEBench's and at the newest schema.

    Args:
        create: make the schema where there is nothing yet.

    Raises:
        EEBenchError: the database cannot be opened, is not EEBench's, was made by a newer EEBench, or holds nothing
            and is not to be made. Nothing is written in any of these cases.
    """
    if url.get_backend_name() == "sqlite":
        _check_file(url, create)
    try:
        engine = _engine(url)
    except ImportError:
        raise EEBenchError("PostgreSQL needs a driver: pip install 'eebench[postgres]'") from None
    except (ArgumentError, ValueError):  # an option in its query has a value of the wrong kind
        raise _unreadable() from None
    try:
        _prepare(engine, create)
    except DBAPIError as error:
        engine.dispose()
        raise EEBenchError(f"the database {shown(url)} cannot be opened: {reason(url, error)}") from None
    except EEBenchError:
        engine.dispose()
        raise
    return engine


def no_results(url: URL) -> EEBenchError:
    """The error for reading where nothing was ever written."""
    return EEBenchError(f"no results yet in {shown(url)}: start with `eebench run`")


# --- engines -----------------------------------------------------------------------------------------------------


def _engine(url: URL) -> Engine:
    arguments: dict[str, Any] = {"timeout": BUSY_SECONDS}
    if url.get_backend_name() == "postgresql":
        arguments = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(url, connect_args=arguments, json_serializer=strict_json.dumps, pool_pre_ping=True)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # The driver would start transactions late and end them around DDL; _begin_sqlite starts them instead.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    exclusive = connection.get_execution_options().get("eebench_migrating")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if exclusive else "BEGIN")


# --- whose it is, and how old ------------------------------------------------------------------------------------


def _check_file(url: URL, create: bool) -> None:
    """The sentences SQLite itself does not say: it opens any path, or says no more than that it cannot."""
    if not url.database or url.database == ":memory:":
        return
    path = Path(url.database)
    if path == _default_path() and create:
        with contextlib.suppress(OSError):  # that there is no folder is said below
            path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise EEBenchError(f"the database {path} cannot be opened: it is a folder, and should be a file")
    if path.exists():
        return
    if not create:
        raise no_results(url)
    if not path.parent.is_dir():
        raise EEBenchError(f"the database {path} cannot be opened: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise EEBenchError(f"the database {path} cannot be opened: the folder {path.parent} may not be written to")


def _prepare(engine: Engine, create: bool) -> None:
    with engine.connect() as connection:
        revision = _revision(connection)
    if revision == migrations.HEAD:
        return
    if revision is None and not create:
        raise no_results(engine.url)
    if revision is not None and not migrations.knows(revision):
        raise EEBenchError(
            f"the database {shown(engine.url)} was made by a newer EEBench: upgrade with `pip install -U eebench`"
        )
    _upgrade(engine)


def _revision(connection: Connection) -> str | None:
    """The schema's revision, or None where there are no tables at all."""
    tables = inspect(connection).get_table_names()
    if migrations.VERSION_TABLE in tables:
        return connection.execute(text(f"SELECT version_num FROM {migrations.VERSION_TABLE}")).scalar_one_or_none()
    if tables:
        raise EEBenchError(
            f"the database {shown(connection.engine.url)} is not EEBench's: it holds other tables "
            f"({', '.join(sorted(tables)[:3])}); name a database of its own for EEBench"
        )
    return None


def _upgrade(engine: Engine) -> None:
    sqlite = engine.dialect.name == "sqlite"
    if sqlite:
        with engine.connect() as connection:  # outside of transactions, and kept in the file: done once
            connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
    with engine.connect().execution_options(eebench_migrating=True) as connection, connection.begin():
        if not sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        if _revision(connection) != migrations.HEAD:  # another process may have been faster
            migrations.upgrade(connection)
