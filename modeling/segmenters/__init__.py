"""Panoptic segmenters."""
