"""Where bytes live. Read key and stream, then local, then minio."""
