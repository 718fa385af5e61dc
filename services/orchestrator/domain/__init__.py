"""The nouns and rules of a job, pure. Read price, spec, card, remote, catalog; then quota, paid_call, job, event."""
