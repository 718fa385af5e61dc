"""What makes videos, behind the Backend port: `fake` (small), `triton` (our own GPUs), `provider` (vendors)."""
