"""The one training loop, and what a stage says of it."""
