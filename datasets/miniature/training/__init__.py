"""The training data of the miniature world: scenes, their panoptic maps and conversations."""
