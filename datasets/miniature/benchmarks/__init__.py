"""The benchmarks of the miniature: each module writes one in its authors' own layout.

A module here holds `write(root: Path) -> list[tuple[str, Scene]]`: it writes its files below
`root`, as they would lie under a real dataset root, and returns the name of every image with its
scene (`unlabelled` where it is none), for the panoptic ground truth. It draws from a block of
evaluation seeds of its own (`FIRST_SEED`); no two images of the miniature share a name or an id.
Nothing else has to be told of a new module.
"""
