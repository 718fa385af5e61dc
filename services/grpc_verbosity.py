"""Keeps gRPC's core from writing to stderr, where it would log every caller that sends unexpected data.

Import it before gRPC, which reads the variable when it is loaded. A value from the environment takes precedence.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
