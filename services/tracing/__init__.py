"""Tracing: where spans begin and end, and where they go. Off unless the environment names an endpoint."""
