"""What any gRPC process here needs; independent of the product's domain.

Reading order: status_codes, auth, concurrent_call_limits, admitted_calls, request_messages, response_messages, logs,
redaction, log_flood_limit, uncaught_errors, telemetry, interceptor, health, server.
"""
