"""The fused CPU backend: a whole epoch of optimizer steps is one compiled function over flat arrays."""
