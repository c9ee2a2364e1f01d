"""Personal data in texts: found by patterns and check digits, and written over with what they were."""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tfkit.errors import ConfigError

_INSTALL = "pip install 'tfkit[redact]'"
_EMAIL = re.compile(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+", re.UNICODE)
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"']+", re.IGNORECASE)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.IGNORECASE)
_CARD = re.compile(r"\b\d(?:[ -]?\d){11,18}\b")
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:]|\.\d)", re.IGNORECASE
)
_TRAILING = ".,;:!?)"

Span = tuple[int, int]


@dataclass(frozen=True)
class Redacted:
    """A text without what was found in it.

    Attributes:
        text: With a placeholder for each, such as `<EMAIL_ADDRESS>`.
        found: How many of each kind, by placeholder.
    """

    text: str
    found: Counter[str]


class Redactor:
    """Writes over e-mail addresses, links, phone numbers, bank accounts, cards and addresses of the Internet.

    What has check digits is looked for with them: IBANs (ISO 13616) and card numbers (Luhn) by `python-stdnum`; phone
    numbers by `phonenumbers`, Google's libphonenumber. Placeholders are named as Microsoft Presidio names them. Names
    of people and places have no pattern, and stay.

    Args:
        region: The country whose phone numbers are written without `+`, such as `US`; None finds those with it alone.

    Raises:
        ConfigError: When the packages are not installed, or there is no such country.

    Example:
        >>> Redactor(region="US").redact("Mail ann@example.com or call (212) 555-0187.").text
        'Mail <EMAIL_ADDRESS> or call <PHONE_NUMBER>.'
    """

    def __init__(self, *, region: str | None = None) -> None:
        try:
            import phonenumbers
            import stdnum.iban
            import stdnum.luhn
        except ImportError:
            raise ConfigError("personal data is found by phonenumbers and python-stdnum", hint=_INSTALL) from None
        if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
            raise ConfigError(f"there is no region '{region}'", hint="name a country by two capitals, such as US or DE")
        self._region = region
        self._matcher = phonenumbers.PhoneNumberMatcher
        self._is_iban: Callable[[str], bool] = stdnum.iban.is_valid
        self._is_luhn: Callable[[str], bool] = stdnum.luhn.is_valid

    def redact(self, text: str) -> Redacted:
        """Write over what is found; of two that lie over each other, the kind that is looked for first."""
        spans: list[tuple[Span, str]] = []
        for kind, find in (
            ("URL", _links),
            ("EMAIL_ADDRESS", _mails),
            ("IBAN_CODE", self._ibans),
            ("CREDIT_CARD", self._cards),
            ("IP_ADDRESS", _addresses),
            ("PHONE_NUMBER", self._phones),
        ):
            spans += [(span, kind) for span in find(text) if all(_apart(span, other) for other, _ in spans)]
        found: Counter[str] = Counter()
        for (start, end), kind in sorted(spans, reverse=True):
            text = f"{text[:start]}<{kind}>{text[end:]}"
            found[kind] += 1
        return Redacted(text, found)

    def _ibans(self, text: str) -> Iterator[Span]:
        for match in _IBAN.finditer(text):
            words = match[0]
            for length in range(len(words), 14, -1):  # a word behind it may look like more of it
                if words[length - 1].isalnum() and self._is_iban(words[:length]):
                    yield match.start(), match.start() + length
                    break

    def _cards(self, text: str) -> Iterator[Span]:
        for match in _CARD.finditer(text):
            digits = re.sub(r"\D", "", match[0])
            if len(set(digits)) > 1 and self._is_luhn(digits):
                yield match.span()

    def _phones(self, text: str) -> Iterator[Span]:
        for match in self._matcher(text, self._region):
            yield match.start, match.end


def _apart(one: Span, other: Span) -> bool:
    return one[1] <= other[0] or other[1] <= one[0]


def _links(text: str) -> Iterator[Span]:
    for match in _URL.finditer(text):
        yield match.start(), match.start() + len(match[0].rstrip(_TRAILING))


def _mails(text: str) -> Iterator[Span]:
    return (match.span() for match in _EMAIL.finditer(text))


def _addresses(text: str) -> Iterator[Span]:
    for match in _ADDRESS.finditer(text):
        try:
            ipaddress.ip_address(match[0])
        except ValueError:
            continue
        if match[0] != "::":
            yield match.span()
