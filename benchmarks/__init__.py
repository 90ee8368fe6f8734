"""Measurements: how fast the package is, what it learns, and the libraries that it is compared with."""
