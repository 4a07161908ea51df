"""Checkpoints in files: checking, loading and writing them without a second copy in memory."""
