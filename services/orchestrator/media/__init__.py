"""Pictures and videos. Read picture_header, picture_cleaning, sandbox, picture; then probe; fit."""
