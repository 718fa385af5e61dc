"""Socket.IO: videos by events, for pages that keep a connection open."""
