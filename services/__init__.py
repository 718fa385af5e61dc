"""The i2v services. Reading order: errors, rpc, orchestrator (its `__init__` goes on), client."""
