"""One attempt at a job. Reading order: runner, generate, state, outcome, final_event, conclusion, result."""
