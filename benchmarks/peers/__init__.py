"""The other libraries: one script each, run in its own virtual environment."""
