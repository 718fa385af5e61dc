"""The blob store. Read blob_key and blob_stream, then local, then minio."""
