"""Certificates in files, which are replaced while a process runs."""
