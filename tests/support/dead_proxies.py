"""Environment variables that name a proxy that does not work."""

URL = "http://user:secret@127.0.0.1:9"
DEAD = {name: URL for each in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy") for name in (each, each.upper())}
