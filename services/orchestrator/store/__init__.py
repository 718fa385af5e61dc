"""PostgreSQL behind the Store port. Read schema, admission_statement, event_log, paid_calls, then postgres_store."""
