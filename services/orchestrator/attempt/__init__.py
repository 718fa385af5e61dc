"""One attempt at a job. Reading order: runner, generate, state, checkpoints, outcome."""
