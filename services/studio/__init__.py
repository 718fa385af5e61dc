"""The HTTP process for browsers and other HTTP clients: a gRPC client of the API that holds no key."""
