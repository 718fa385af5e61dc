"""What any gRPC process here needs; knows no product noun.

Reading order: status, auth, limits, requests, logs, telemetry, interceptor, health, server.
"""
