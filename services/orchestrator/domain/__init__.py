"""The nouns and rules of a job, pure. Reading order: price, spec, catalog, quota, job, event."""
