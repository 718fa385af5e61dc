"""Streams over HTTP: events as they happen, uploads and downloads."""
