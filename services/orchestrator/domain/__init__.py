"""The nouns and rules of a job, pure.

Read price, spec, card, remote, catalog, candidate_models; then limits, plan; then event, job,
job_transitions, next_event.
"""
