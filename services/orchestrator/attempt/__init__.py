"""One attempt at a job.

Reading order: runner, generate, state, outcome, error_classification, fail_retry_or_reroute, final_event_recorder,
result.
"""
