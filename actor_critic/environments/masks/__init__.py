"""Action masks: the ways in which environments give them, and their reading."""
