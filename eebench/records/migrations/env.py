"""What Alembic runs for every command: migrate on the connection handed over by `eebench.records.migrations`."""

from alembic import context

from eebench.records.migrations import VERSION_TABLE
from eebench.records.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
