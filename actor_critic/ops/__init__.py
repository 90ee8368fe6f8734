"""Pure functions: returns, losses, the grouped categorical distribution, one step of Adam.

They take arrays and numbers, never a settings object, and keep no state. They are the reference for every backend.
"""
