"""What all tests share."""

from hypothesis import settings

settings.register_profile("hotmic", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("hotmic")
