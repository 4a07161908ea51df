"""The objects of the miniature world: how each class looks."""
