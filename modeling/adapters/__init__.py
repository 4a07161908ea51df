"""Adapters: PLoRA, the crayon branch, quantisation."""
