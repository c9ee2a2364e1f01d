"""Texts to token ids as in training: WordPiece as the original BERT cuts texts, from Python alone."""

import json
import unicodedata
from pathlib import Path

import numpy as np

IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPieces:
    """The tokeniser in `folder`; texts are cut to `length` tokens, start and end included."""

    def __init__(self, folder: Path, length: int) -> None:
        self._said = json.loads((folder / "specification.json").read_text(encoding="utf-8"))
        (file,) = self._said["vocabulary_files"]
        lines = (folder / file).read_text(encoding="utf-8").split("\n")
        self._ids = {token.rstrip(): number for number, token in enumerate(lines) if token}
        self._longest = max(map(len, self._ids))
        self._special = {role: entry["id"] for role, entry in self._said["special_tokens"].items()}
        self.length = length

    def ids(self, text: str) -> list[int]:
        """The token ids of a text, start and end included, without padding."""
        words = "".join(f" {one} " if _is_alone(one) else one for one in self._normalized(text)).split(" ")
        pieces = [number for word in words if word for number in self._pieces(word)]
        return [self._special["start"], *pieces[: self.length - 2], self._special["end"]]

    def tensors(self, text: str) -> dict[str, np.ndarray]:
        """`token_ids` and `padding_mask`, int32 (1, length)."""
        found = self.ids(text)
        ids = np.full((1, self.length), self._special["padding"], np.int32)
        ids[0, : len(found)] = found
        return {"token_ids": ids, "padding_mask": (np.arange(self.length) < len(found)).astype(np.int32)[None]}

    def _normalized(self, text: str) -> str:
        text = "".join(map(_cleaned, text))
        if self._said["strip_accents"]:
            marked = unicodedata.normalize("NFD", text)
            text = "".join(one for one in marked if unicodedata.category(one) != "Mn")
        return text.lower() if self._said["lowercase"] else text

    def _pieces(self, word: str) -> list[int]:
        if len(word.encode()) > self._said["max_bytes_per_word"]:
            return [self._special["unknown"]]
        found: list[int] = []
        start = 0
        while start < len(word):
            indicator = self._said["suffix_indicator"] if start else ""
            ends = range(min(len(word), start + self._longest), start, -1)
            end = next((end for end in ends if indicator + word[start:end] in self._ids), None)
            if end is None:
                return [self._special["unknown"]]
            found.append(self._ids[indicator + word[start:end]])
            start = end
        return found


def _cleaned(one: str) -> str:
    kind = unicodedata.category(one)
    if one in "\t\n\r" or kind[0] == "Z":
        return " "
    return "" if one == "\ufffd" or kind in ("Cc", "Cf", "Co", "Cs") else one


def _is_alone(one: str) -> bool:
    """Punctuation and ideographs are words of their own."""
    is_symbol = "!" <= one <= "~" and not one.isalnum()
    kind, point = unicodedata.category(one), ord(one)
    return is_symbol or kind[0] == "P" or any(first <= point <= last for first, last in IDEOGRAPHS)
