"""A database of any age is brought to the schema that the code reads and writes."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from eebench.errors import EEBenchError
from eebench.records import migrations
from eebench.records.database import connect, parse_url
from eebench.records.store import Store
from eebench.records.tables import Table
from tests.records import evaluation, provenance, result, timing

SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{previous}"


def upgrade() -> None:
    op.create_table("second", sa.Column("id", sa.Integer(), primary_key=True))
    {more}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database at the newest schema, with one result."""
    path = tmp_path / "results.db"
    with Store.open(str(path)) as store:
        store.add_result(store.add_evaluation(store.begin_run(provenance()), evaluation()), result())
    return path


def add_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    """Pretend that EEBench has one more migration, which makes a table `second`."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER, folder)
    step = SECOND.format(revision="9999", previous=migrations.HEAD, more=more)
    (folder / "versions" / "9999_second.py").write_text(step)
    monkeypatch.setattr(migrations, "FOLDER", folder)
    monkeypatch.setattr(migrations, "HEAD", "9999")


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_the_newest_migration_is_the_one_the_code_expects() -> None:
    assert ScriptDirectory.from_config(migrations.config()).get_heads() == [migrations.HEAD]


def test_migrating_from_nothing_makes_the_tables_that_the_models_describe(path: Path) -> None:
    engine = connect(parse_url(str(path)), create=False)
    options = {"compare_server_default": True, "version_table": migrations.VERSION_TABLE}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata) == []
    engine.dispose()


def test_an_older_database_is_upgraded_on_opening_and_keeps_its_results(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_migration(tmp_path, monkeypatch)
    with Store.open(str(path), create=False) as store:
        assert len(store.newest().results) == 1
    assert "second" in tables(path)


def test_a_database_from_before_timings_takes_them_after_its_upgrade(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE timings")
        connection.execute(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '0001'")
    connection.close()
    with Store.open(str(path), create=False) as store:
        store.add_timings(store.begin_run(provenance()), [timing()])
        assert len(store.newest_timings().timings) == len(store.newest().results) == 1


def test_an_upgrade_that_fails_changes_nothing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_migration(tmp_path, monkeypatch, more='op.execute("SELECT * FROM nowhere")')
    with pytest.raises(EEBenchError, match="cannot be opened: no such table: nowhere"):
        Store.open(str(path))
    monkeypatch.undo()
    assert "second" not in tables(path)
    with Store.open(str(path), create=False) as store:
        assert len(store.newest().results) == 1


def test_a_database_of_a_newer_eebench_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(EEBenchError, match="was made by a newer EEBench: upgrade with `pip install -U eebench`"):
        Store.open(str(path))
    assert path.read_bytes() == before
