"""Builds the built-in tiny model: a CoLLaVO and a Mask2Former in the published formats."""
