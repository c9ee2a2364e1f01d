"""What happens to a text before it is cut into tokens, once in Python and once in the graph."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_text as tf_text

from tfkit.errors import DataError
from tfkit.files import read_regular_file

VALID_STEP = "invalid UTF-8 and U+0000 become U+FFFD"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

BYTE_PAIR_STEPS = (VALID_STEP, "U+096C (Devanagari six) becomes the digit 6")

_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_KERAS_HUB_MARK = "\u096c"
_CLEANING_STEPS = (
    VALID_STEP,
    "tab, line feed, carriage return and every separator (Unicode Z) become a space",
    "U+FFFD and every control, format and private character (Unicode Cc, Cf, Co) are removed",
)
_ACCENTS_STEP = "canonical decomposition (NFD), then every non-spacing mark (Unicode Mn) is removed"
_CASE_STEP = "lower case (full Unicode mapping, no locale)"


def replace_unusable(text: str) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD, so that it can be written as UTF-8.

    Two surrogates that belong together, as careless JSON writers leave them, become the one character they mean.

    Args:
        text: Any Python string.

    Returns:
        A string that encodes to UTF-8 and that C programs read to its end.

    Example:
        >>> replace_unusable("a\\ud83d\\ude00b\\ud800c\\x00")
        'a😀b�c�'
    """
    if not _UNUSABLE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", REPLACEMENT)


def valid_utf8(texts: tf.Tensor) -> tf.Tensor:
    """Strings (n,) with invalid UTF-8 and NUL replaced by U+FFFD: what a client sent may be any bytes."""
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    # The ops of TF Text end a string at its first NUL and would lose the rest without a word.
    return tf.strings.regex_replace(texts, r"\x00", REPLACEMENT)


def normalize_for_word_pieces(texts: tf.Tensor, *, lowercase: bool, strip_accents: bool) -> tf.Tensor:
    """Clean texts as the original BERT tokeniser does (Devlin et al. 2018, `tokenization.py`).

    keras-hub's own normalisation differs from what the published weights were trained with: an accent stays in
    an uncased model (`café` becomes unknown), a no-break space does not part words, and compatibility
    characters are taken apart. Whatever is in the graph here is also what any other BERT tokeniser does.

    Args:
        texts: Valid UTF-8 strings (n,), as `valid_utf8` gives them.
        lowercase: Whether the vocabulary is uncased.
        strip_accents: Whether accents are removed; uncased models want it.

    Returns:
        Strings (n,).
    """
    texts = tf.strings.regex_replace(texts, r"[\t\n\r\p{Z}]", " ")
    texts = tf.strings.regex_replace(texts, r"[\p{C}\x{FFFD}]", "")
    if strip_accents:
        texts = tf.strings.regex_replace(tf_text.normalize_utf8(texts, "NFD"), r"\p{Mn}", "")
    if lowercase:
        # ASCII first: the Unicode op follows the host's locale, and a Turkish one makes `I` a dotless `ı`.
        texts = tf.strings.lower(tf.strings.lower(texts), encoding="utf-8")
    return texts


def normalize_for_byte_pairs(texts: tf.Tensor) -> tf.Tensor:
    """Valid strings (n,) without the one character that keras-hub's in-graph splitter uses as a mark of its own.

    U+096C, the Devanagari six, would vanish from texts; it becomes the digit 6.
    """
    return tf.strings.regex_replace(texts, _KERAS_HUB_MARK, "6")


def word_piece_steps(*, lowercase: bool, strip_accents: bool) -> list[str]:
    """`valid_utf8` and `normalize_for_word_pieces` in words, in order, for whoever writes them again."""
    return [*_CLEANING_STEPS, *([_ACCENTS_STEP] * strip_accents), *([_CASE_STEP] * lowercase)]


_BUILT_IN = Path(__file__).parent / "built_in"
BUILT_IN_ANSWERS = _BUILT_IN / "answers_small.csv"
BUILT_IN_OUT_OF_SCOPE = _BUILT_IN / "out_of_scope_small.txt"


def read_answers(path: Path, class_names: Sequence[str], *, passes_others: bool = False) -> dict[str, str]:
    """Read what is replied to each label.

    Args:
        path: A CSV in UTF-8 with the columns `label` and `answer`.
        class_names: The labels there are; each may have one answer.
        passes_others: Whether answers to other labels are passed over: some classes alone were kept.

    Returns:
        Answers by label, in the order of the file.

    Raises:
        DataError: When the file cannot be read, or a row names no label, one twice, or has no answer; tells all rows.

    Example:
        >>> read_answers(Path("answers.csv"), splits.class_names)["refund_status"]  # doctest: +SKIP
        'Refunds are paid within five working days ...'
    """
    rows = list(csv.DictReader(_read(path, "answers").splitlines()))
    if not rows or not {"label", "answer"} <= set(rows[0]):
        found = ", ".join(rows[0]) if rows else "nothing"
        raise DataError(f"'{path}' must have the columns label and answer; it has {found}")
    answers: dict[str, str] = {}
    faults = []
    for number, row in enumerate(rows, start=2):
        label, answer = ((row[name] or "").strip() for name in ("label", "answer"))
        if label not in class_names and passes_others:
            continue
        if label not in class_names:
            faults.append(f"  {path.name}:{number}: '{label}' is none of the {len(class_names)} labels")
        elif label in answers:
            faults.append(f"  {path.name}:{number}: '{label}' has an answer already")
        elif not answer:
            faults.append(f"  {path.name}:{number}: '{label}' has no answer")
        answers[label] = answer
    if faults:
        raise DataError("the answers cannot be used:\n" + "\n".join(faults), hint="mend search.answers")
    return answers


def read_lines(path: Path) -> tuple[str, ...]:
    """Read texts of one line each, such as those that no label fits.

    Raises:
        DataError: When the file cannot be read, or holds no text.
    """
    lines = tuple(replace_unusable(line).strip() for line in _read(path, "texts").splitlines() if line.strip())
    if not lines:
        raise DataError(f"there is no text in '{path}'", hint="one text a line, in UTF-8")
    return lines


def _read(path: Path, what: str) -> str:
    try:
        return read_regular_file(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise DataError(f"cannot read the {what} '{path}': {reason}", hint="name a file in UTF-8") from None
