"""The other libraries: one script for each, run by the interpreter of its own virtual environment."""
