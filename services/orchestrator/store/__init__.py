"""PostgreSQL behind the ports. Read schema, admission_statement, event_log, settlement, paid_call_steps, then jobs."""
