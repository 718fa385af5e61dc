"""How a job comes into being: a new one, and one that fetches the paid video of a failed one."""
