"""Pure functions: returns, losses, the grouped categorical distribution, and a step of Adam.

They take arrays and numbers, no settings, and keep no state. They are the reference for every backend.
"""
