"""Learning: scores of the presets over five seeds, next to published scores."""
