"""One attempt at a job.

Reading order: runner, generate, state, outcome, error_classification, final_event_decision, final_event_recorder,
result.
"""
