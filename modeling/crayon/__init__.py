"""Crayon Prompt: maps, text, embeddings and pictures."""
