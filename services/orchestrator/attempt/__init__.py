"""One attempt at a job. Reading order: runner, generate, state, outcome, final_event, final_event_recorder, result."""
