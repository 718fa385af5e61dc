"""Writes the OpenAPI document of the HTTP API: `python -m tools.openapi`.

Messages, enums and texts come from the protos and their comments, operations from the bindings of the HTTP process.
What has no RPC behind it is described by hand in `tools/openapi/operations`, a file for each part of the API.
"""
