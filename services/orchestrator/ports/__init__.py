"""The sockets of the core: what it needs of the world, each a few methods. Adapters are chosen in app.py alone.

Read jobs.py first, then backend.py and what is paid of it in paid_backend.py; the others are small.
"""
