"""Tokens: JWTs of an issuer that the settings name."""
