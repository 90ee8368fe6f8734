"""Learning: scores of the presets over five seeds, beside published ones."""
