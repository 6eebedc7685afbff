"""The self-test's wiring; nothing in it ships."""

from hypothesis import settings

pytest_plugins = ["pytester"]

# A shared machine is slow at times; an example that takes long is no failure. What fails once must fail again.
settings.register_profile("mailtrip", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("mailtrip")
