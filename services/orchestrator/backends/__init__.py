"""What makes videos, behind the Backend port: `fake` (small, correct, shipped), `triton` (our own GPUs)."""
