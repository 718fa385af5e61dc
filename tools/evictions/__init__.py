"""Several APIs and workers as processes on one database, which are stopped, killed and started again under load."""
