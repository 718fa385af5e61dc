"""What any gRPC process here needs; knows no product noun.

Reading order: status, auth, logs, telemetry, interceptor, health, server.
"""
