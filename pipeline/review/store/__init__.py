"""The review's database: tables, migrations, and every question and change the page asks for."""

from pipeline.review.store.engine import Store, open_store

__all__ = ["Store", "open_store"]
