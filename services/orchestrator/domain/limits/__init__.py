"""The limits of plans: what is counted, for whom, and in which period."""
