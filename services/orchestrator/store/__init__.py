"""PostgreSQL behind the Store port. Reading order: schema, admission, record, queries, listener, postgres."""
