"""How old things are removed: a file for each kind. Read removal, then old_events, then retention."""
