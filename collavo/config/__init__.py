"""The configuration: typed yacs keys, YAML with `_BASE_`, overrides, and the original's names."""

from collavo.config.build import default_cfg, dump, get_cfg

__all__ = ["default_cfg", "dump", "get_cfg"]
