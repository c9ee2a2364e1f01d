"""What tfkit raises when it cannot go on: what came, what was expected, and how to mend it."""


class TfkitError(Exception):
    """A fault that its reader can mend.

    Args:
        message: What came and what was expected, in one or more lines.
        hint: What to do about it; empty when the message says it already.

    Example:
        >>> raise TfkitError("no image in 'photos/'", hint="put one folder per class into it")
        Traceback (most recent call last):
        tfkit.errors.TfkitError: no image in 'photos/'
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(TfkitError):
    """A recipe, an override or a command-line option says something that tfkit does not understand."""


class DataError(TfkitError):
    """Images, labels or their folders are not what was expected."""


class ModelError(TfkitError):
    """A backbone, its weights or a model file cannot be used."""


class ExportError(TfkitError):
    """A model cannot be exported as asked, or the finished file is not what was asked for."""


class RunError(TfkitError):
    """A run cannot be written or continued: it exists already, the disk is full, or it was interrupted."""


class TrainingError(TfkitError):
    """Training cannot go on: its loss, or what it made of the weights, is no number any more."""
