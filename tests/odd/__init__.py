"""Odd environments: generated, each with a best policy known by construction."""
