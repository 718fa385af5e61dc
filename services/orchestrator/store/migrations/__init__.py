"""Alembic's environment; `versions/` in order is how the schema came to be."""
