"""Live playback: HTTP Live Streaming (RFC 8216) over the fragments of a job, while it is made and afterwards."""
