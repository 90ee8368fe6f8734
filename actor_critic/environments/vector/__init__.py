"""Vector environments: the contract, our own vectoriser in one or several processes, native ones, random states."""
