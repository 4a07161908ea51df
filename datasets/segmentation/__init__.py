"""Panoptic examples to train a segmenter on."""
