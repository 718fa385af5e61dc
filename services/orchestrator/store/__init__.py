"""PostgreSQL behind the Store port. Reading order: schema, admission, record, journal, accounts, database, postgres."""
