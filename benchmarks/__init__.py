"""Benchmarks of speed and learning, and scripts for the libraries of the comparison."""
