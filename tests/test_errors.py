"""Names out of data in messages."""

import pytest

from tfkit.errors import is_printable, printable


@pytest.mark.parametrize("name", ["crème brûlée", "犬", "a b", "x|y", "[red]", "می\u200cخواهم"])
def test_names_of_any_language_stay_as_they_are(name):
    assert is_printable(name) and printable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [("\x1b[31m", r"\x1b[31m"), ("a\nb", r"a\nb"), ("\udcff", r"\xff"), ("\u2028", r"\u2028"), ("\u202ea", r"\u202ea")],
)
def test_what_a_terminal_would_obey_is_escaped(name, shown):
    assert not is_printable(name) and printable(name) == shown


def test_line_breaks_of_a_message_stay():
    assert printable("two\nlines\x07", lines=True) == "two\nlines\\x07"
