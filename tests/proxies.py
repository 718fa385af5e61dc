"""A proxy that does not work, as the environment of a machine may name one."""

URL = "http://user:secret@127.0.0.1:9"
DEAD = {name: URL for each in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy") for name in (each, each.upper())}
