"""Keeps the core of gRPC off stderr, where it writes on its own of every caller that sends it something odd.

To be imported before gRPC, which reads the variable when it is loaded. Whoever sets it is heard.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
