"""How long texts are in tokens, and the length a model should take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfkit.data.text.tokenizer import Tokenizer
from tfkit.errors import DataError

_PERCENTILES = (50, 90, 95, 99, 100)


@dataclass(frozen=True)
class LengthReport:
    """The distribution of lengths in tokens, start and end included.

    Attributes:
        texts: How many were measured.
        percentiles: Tokens by percentile: 50, 90, 95, 99 and 100 (the longest).
        sequence_length: The length that was chosen.
        truncated_share: Share of the texts that are longer, in [0, 1]: they lose their end.
    """

    texts: int
    percentiles: dict[int, int]
    sequence_length: int
    truncated_share: float

    @property
    def sentence(self) -> str:
        """What was chosen and what it cuts, in a sentence."""
        half, longest = self.percentiles[50], self.percentiles[100]
        cut = f"{self.truncated_share:.1%} of the texts are cut" if self.truncated_share else "no text is cut"
        return f"{self.sequence_length} tokens a text (half have {half} or fewer, the longest {longest}); {cut}"

    def to_json(self) -> dict[str, object]:
        """The report as plain values for `json.dump`."""
        return {
            "texts": self.texts,
            "percentiles": {str(percentile): tokens for percentile, tokens in self.percentiles.items()},
            "sequence_length": self.sequence_length,
            "truncated_share": self.truncated_share,
        }


def measure_lengths(
    texts: Sequence[str],
    tokenizer: Tokenizer,
    *,
    sequence_length: int | None = None,
    truncated_share: float = 0.01,
    limit: int = 512,
) -> LengthReport:
    """Measure texts, and choose a length from their own distribution when none is given.

    Args:
        texts: Training texts.
        tokenizer: The model's tokeniser.
        sequence_length: The length to report on; None chooses the smallest multiple of 8 that cuts no more than
            `truncated_share` of the texts.
        truncated_share: Share of the texts that may lose their end, in [0, 1).
        limit: Positions that the model has; never more than this is chosen.

    Returns:
        The report.

    Raises:
        DataError: When there is no text, or the options make no sense.

    Example:
        >>> report = measure_lengths(["where is my parcel?", "refund"] * 10, tokenizer)
        >>> report.sequence_length, report.truncated_share
        (8, 0.0)
    """
    faults = []
    if not 0.0 <= truncated_share < 1.0:
        faults.append(f"truncated_share must be in [0, 1); got {truncated_share}")
    if limit < 8:
        faults.append(f"limit must be 8 or more; got {limit}")
    if sequence_length is not None and not 3 <= sequence_length <= limit:
        faults.append(f"sequence_length must be in [3, {limit}]; got {sequence_length}")
    if not texts:
        faults.append("there is no text to measure")
    if faults:
        raise DataError("; ".join(faults))
    lengths = tokenizer.lengths(texts)
    if sequence_length is None:
        enough = int(np.quantile(lengths, 1.0 - truncated_share, method="inverted_cdf"))
        sequence_length = min(-(-enough // 8) * 8, limit)
    values = np.percentile(lengths, _PERCENTILES, method="inverted_cdf")
    return LengthReport(
        texts=len(texts),
        percentiles={percentile: int(tokens) for percentile, tokens in zip(_PERCENTILES, values, strict=True)},
        sequence_length=sequence_length,
        truncated_share=float(np.mean(lengths > sequence_length)),
    )
