"""Profiles of the command line: servers and keys under names, in a file of the person."""
