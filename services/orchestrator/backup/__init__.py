"""Backups of an installation: a dump of the database, and a list of the stored bytes, which others copy."""
