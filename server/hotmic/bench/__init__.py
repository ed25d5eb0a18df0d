"""Measures what the daemon carries, against what the field does with the same weights."""
