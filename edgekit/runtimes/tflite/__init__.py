"""The TFLite file itself, read and written in a child by its schema, and a session on it."""
