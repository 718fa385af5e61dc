"""The nouns and rules of a job, pure.

Read price, spec, card, remote, catalog, candidates; then plan, account, plan_rules; then event, job, job_transitions,
job_decisions.
"""
