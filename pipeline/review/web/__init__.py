"""The review page: a FastAPI application over the store; all of its assets are in the wheel."""
