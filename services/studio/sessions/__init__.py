"""Signing in to the pages: a key or a link becomes a session, whose token is a cookie."""
