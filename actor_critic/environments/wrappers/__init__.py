"""Wrappers around single environments: step limits, frame stacks, rewards counted below all other wrappers."""
