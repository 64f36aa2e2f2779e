"""Alembic's entry: runs migrations in the transaction that `pipeline.review.store.schema` opened."""

from alembic import context

from pipeline.review.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
context.run_migrations()
