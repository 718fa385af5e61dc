"""The `i2v` command, on top of the package `i2v_client`. Imports nothing, so that `cli` runs before gRPC is loaded.

Reading order: formatting, follow_job, connection, commands, cli.
"""
