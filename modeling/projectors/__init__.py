"""Projectors from visual features to LLM embeddings."""
