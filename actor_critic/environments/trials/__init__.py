"""Trials of an environment before a run: its contract, its replays, its native vector form, its speed in processes."""
