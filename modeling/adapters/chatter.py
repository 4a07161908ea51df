"""What bitsandbytes says that calls for nothing to be done."""

from __future__ import annotations

import logging

_CHATTER = {
    "bitsandbytes.backends.cpu.ops": "kernels-community",
    "bitsandbytes.autograd._functions": "inputs will be cast from",
}
"""Its loggers with such remarks: on an optional package, and on dtypes that are right."""


def quiet_bitsandbytes() -> None:
    """Drops these remarks; to be called once, before bitsandbytes is imported, by whomever."""
    for logger, remark in _CHATTER.items():
        logging.getLogger(logger).addFilter(_Without(remark))


class _Without(logging.Filter):
    """Drops the records that hold `remark`."""

    def __init__(self, remark: str) -> None:
        super().__init__()
        self.remark = remark

    def filter(self, record: logging.LogRecord) -> bool:
        return self.remark not in record.getMessage()
