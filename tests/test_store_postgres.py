"""The store on a PostgreSQL server, named by its URL in EEBENCH_TEST_POSTGRES."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from eebench.records import migrations
from eebench.records.database import connect, parse_url
from eebench.records.tables import Table
from tests.conftest import missing
from tests.test_store import StoreContract, refusal

DATABASE = "eebench_test"


@pytest.fixture
def url() -> Iterator[str]:
    """A database made for one test on the server."""
    server = os.environ.get("EEBENCH_TEST_POSTGRES", "")
    if not server:
        missing("EEBENCH_TEST_POSTGRES names no PostgreSQL server")
    address = parse_url(server)
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {DATABASE}"))
        # The plain scheme is what users write.
        yield (address.set(drivername="postgresql", database=DATABASE).render_as_string(hide_password=False))
        connection.execute(text(f"DROP DATABASE {DATABASE} WITH (FORCE)"))
    engine.dispose()


class TestPostgres(StoreContract):
    def test_migrating_from_nothing_makes_the_tables_that_the_models_describe(self, url: str) -> None:
        engine = connect(parse_url(url), create=True)
        options = {"version_table": migrations.VERSION_TABLE}
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata) == []
        engine.dispose()

    def test_reading_where_nothing_was_written_says_how_to_start(self, url: str) -> None:
        said = refusal(url, create=False)
        assert said.startswith("no results yet in postgresql://")
        assert said.endswith(f"/{DATABASE}: start with `eebench run`")

    def test_somebody_elses_database_is_refused(self, url: str) -> None:
        engine = create_engine(parse_url(url))
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE photos (id INTEGER)"))
        engine.dispose()
        assert "is not EEBench's: it holds other tables (photos)" in refusal(url)

    def test_a_wrong_password_or_user_is_a_sentence_without_the_password(self, url: str) -> None:
        wrong = parse_url(url).set(username="nobody_here", password="s3cret")
        said = refusal(wrong.render_as_string(hide_password=False))
        assert said.startswith("the database postgresql://nobody_here:***@")
        assert "s3cret" not in said

    def test_a_database_that_does_not_exist_is_a_sentence(self, url: str) -> None:
        missing = parse_url(url).set(database="none_such")
        assert 'database "none_such" does not exist' in refusal(missing.render_as_string(hide_password=False))
