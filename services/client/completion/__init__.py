"""Completion in shells, with names from the server."""
