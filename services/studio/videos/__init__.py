"""`/v1/videos`: jobs in the shape that clients of OpenAI's Videos API know."""
