"""The OpenAPI document of the HTTP API, and a page out of it. `python -m tools.openapi` writes the document."""
