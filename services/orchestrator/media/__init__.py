"""Pictures and videos. Read header, pixels, sandbox, picture; then video, track; then fit."""
