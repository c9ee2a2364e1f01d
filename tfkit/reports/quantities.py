"""Figures as people read them: 95.4 %, 2.9 MB, 3.7 ms, 1 min 12 s."""

import math

MISSING = "–"


def percent(share: float | None, *, decimals: int = 1) -> str:
    """A share 0..1 as a percentage; a dash for None.

    Example:
        >>> percent(0.954)
        '95.4 %'
    """
    if share is None or math.isnan(share):
        return MISSING
    return f"{100 * share:.{decimals}f} %"


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points, with its sign; a dash for None.

    Example:
        >>> points(-0.0125)
        '−1.2'
    """
    if difference is None or math.isnan(difference):
        return MISSING
    rounded = round(100 * difference, 1)
    return "±0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def file_size(size: int) -> str:
    """Bytes in decimal units, as phones and file managers show them.

    Example:
        >>> file_size(2_912_345)
        '2.9 MB'
    """
    if size < 1000:
        return f"{size} bytes"
    if size < 999_500:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.1f} MB"


def milliseconds(value: float | None) -> str:
    """A latency with three significant digits at most; a dash for None.

    Example:
        >>> milliseconds(3.7251)
        '3.7 ms'
    """
    if value is None:
        return MISSING
    if value < 1:
        return f"{value:.2f} ms"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def duration(seconds: float) -> str:
    """A wall time.

    Example:
        >>> duration(72.4)
        '1 min 12 s'
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def count(number: int) -> str:
    """A whole number with thousands set apart.

    Example:
        >>> count(12345)
        '12,345'
    """
    return f"{number:,}"


def counted(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "file"), counted(3, "class", "classes")
        ('1 file', '3 classes')
    """
    return f"{count(number)} {singular if number == 1 else plural or singular + 's'}"


def small_difference(value: float | None) -> str:
    """A difference of two scores; a dash for None.

    Example:
        >>> small_difference(0.0123), small_difference(3e-7)
        ('0.012', '3.0e-07')
    """
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    return f"{value:.3f}" if value >= 5e-4 else f"{value:.1e}"
