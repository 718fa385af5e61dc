"""What any gRPC process here needs; knows no product noun.

Reading order: status_codes, auth, call_limits, call_messages, logs, telemetry, interceptor, health, server.
"""
