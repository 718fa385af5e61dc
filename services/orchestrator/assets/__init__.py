"""How a caller's bytes become an asset."""
