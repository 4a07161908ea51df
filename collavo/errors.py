"""Errors of the user's making: the command line prints their message without a traceback."""

EXIT_OK = 0
EXIT_CRASH = 1
EXIT_USAGE = 2
EXIT_FAILED_SAMPLES = 3
EXIT_VERIFY = 4
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141


class UserError(ValueError):
    """Wrong input: the message says what is wrong, the value, what is allowed and what to do."""


class ConfigError(UserError):
    """A key, a value or a combination of them that the configuration does not allow."""


class DataError(UserError):
    """A dataset file, record or image that cannot be used."""


class CheckpointError(UserError):
    """A checkpoint that is incomplete, misshapen or of an unsupported format."""


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that has to be there; the message says where it was looked for."""
