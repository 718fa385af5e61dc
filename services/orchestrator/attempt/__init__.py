"""One attempt at a job.

Reading order: runner, generate, state, outcome, error_classification, retry_decision, final_event_recorder,
result.
"""
