"""The outbox: deliveries of an event, written by the statement that writes the event.

A tenant without an endpoint costs one look into an index. What is written is the fact as the statement has it already;
the payload is made from it when it is sent. Warnings of limits are rare: a trigger of their table delivers them.
"""

COLUMNS = 'endpoint, tenant, "user", event_type, subject, sequence, body, create_time, next_try_time'
WANTED = "endpoint.tenant = :tenant AND endpoint.state IN ('active', 'paused') AND {type} = ANY (endpoint.event_types)"

# An event of a job.
OF_EVENT = f"""
    INSERT INTO webhook_deliveries ({COLUMNS})
    SELECT endpoint.number, endpoint.tenant, :user, :event_type, 'jobs/' || CAST(:id AS text), :last_sequence,
        CAST(:body AS jsonb), CAST(:now AS timestamptz), CAST(:now AS timestamptz)
    FROM webhook_endpoints AS endpoint
    WHERE {WANTED.format(type="CAST(:event_type AS text)")}
"""

# The first event of a job, with `admitted` of the admission.
OF_ADMISSION = f"""
    INSERT INTO webhook_deliveries ({COLUMNS})
    SELECT endpoint.number, endpoint.tenant, :user, 'job.submitted', 'jobs/' || admitted.id, 1,
        CAST(:admitted AS jsonb), CAST(:now AS timestamptz), CAST(:now AS timestamptz)
    FROM admitted, webhook_endpoints AS endpoint WHERE {WANTED.format(type="'job.submitted'")}
"""


def of_asset(event_type: str, said: str) -> str:
    """Returns the statement for an asset: `entry` has its entry of the library, `said` is SQL of more about it."""
    return f"""
    INSERT INTO webhook_deliveries ({COLUMNS})
    SELECT endpoint.number, endpoint.tenant, entry."user", '{event_type}', 'assets/' || entry.sha256, NULL,
        jsonb_build_object('kind', entry.kind, 'size_bytes', entry.size_bytes, 'job_id', entry.job_id, {said}),
        CAST(:now AS timestamptz), CAST(:now AS timestamptz)
    FROM entry, webhook_endpoints AS endpoint WHERE {WANTED.format(type=f"'{event_type}'")}
    """


RETURNED = 'RETURNING "user", sha256, kind, size_bytes, job_id'
"""What `entry` has."""
