"""Functional environments in compiled code. Importing this package loads Numba."""
