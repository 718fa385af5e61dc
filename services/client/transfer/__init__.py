"""Exports of a library as files, their check, and their import. docs/library.md describes the format."""
