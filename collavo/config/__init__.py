"""Configuration: defaults, merging, the keys of the original."""
