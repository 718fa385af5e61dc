"""The ports of the core: small protocols of what it needs from outside. Only app.py chooses their adapters.

Read jobs.py first, then backend.py and paid_backend.py; the others are small.
"""
