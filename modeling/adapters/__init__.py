"""Adapters: PLoRA, the crayon branch, Dual QLoRA, quantisation."""
