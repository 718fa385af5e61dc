"""Pictures and videos. Read header, pixels, sandbox, picture; then video; track, sound, probe; then fit."""
