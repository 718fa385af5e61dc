"""Where bytes live. Read blob_key and blob_stream, then local, then minio."""
