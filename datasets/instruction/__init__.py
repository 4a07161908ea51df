"""Conversations to train on: sources, mixes, plans, checks and batches."""
