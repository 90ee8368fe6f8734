"""Property-based tests draw the same examples in continuous integration every time, and new ones on a desk."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
