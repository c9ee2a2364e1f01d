"""What tfkit raises when it cannot go on: what came, what was expected, and how to mend it."""

import unicodedata

# Controls (a terminal obeys them), halves of characters, line and paragraph ends.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # make what follows read backwards


def is_printable(text: str) -> bool:
    """Whether a text is one line that a terminal, a file of labels and a page show as it is.

    Args:
        text: A name out of data: of a class, a file, a layer.

    Example:
        >>> is_printable("crème brûlée"), is_printable("two\\nlines"), is_printable("\\x1b[31mred")
        (True, False, False)
    """
    if text.isascii() and text.isprintable():  # most are, and tables of a thousand rows ask of each cell
        return True
    return not any(unicodedata.category(letter) in _UNPRINTABLE or letter in _TURNS for letter in text)


def printable(text: str, *, lines: bool = False) -> str:
    r"""A text with everything that a terminal would obey, or could not show, written as an escape.

    Args:
        text: A name or a sentence with one in it; bytes of a file's name that are not UTF-8 come as surrogates.
        lines: Whether line breaks stay.

    Example:
        >>> print(printable("\x1b[31mred"))
        \x1b[31mred
    """
    if is_printable(text):
        return text
    return "".join(letter if (lines and letter == "\n") or is_printable(letter) else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # a byte that is not UTF-8, as Python keeps it in a file's name
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


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
