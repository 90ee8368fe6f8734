"""Faults: each is tried many times over, a seeded sample in `make test` and the whole campaign in `make faults`."""
