"""What is kept of a set of examples to compare others with: numbers of each, answers and vectors; no picture."""

import json
import re
import zipfile
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import DataError
from tfkit.files import inflated_fault, refuse_irregular, written_whole

_VERSION = 1
_WORD = re.compile(r"\w+")
_NUMBER = "number: "
_WANTED = "name a profile that tfkit drift RUN --save wrote"


@dataclass(frozen=True, eq=False)
class Profile:
    """What n examples were like, and what a model answered.

    Attributes:
        noun: What one example is called: "image".
        model: SHA-256 of the file that answered.
        numbers: float32 (n,) by name: brightness, words, confidence.
        answers: bool (n, k): the class of each example, or its labels; None where a model gives numbers or vectors.
        answer_names: The k names.
        exclusive: Whether each example has one answer.
        vectors: float32 (n, d): what the model sees in each; None where that is not known.
        words: The words of each text, each once, in alphabetical order; None of pictures.

    Example:
        >>> Profile("image", "", {"brightness": np.float32([0.5, 0.25])}).count
        2
    """

    noun: str
    model: str
    numbers: Mapping[str, NDArray[np.float32]]
    answers: NDArray[np.bool_] | None = None
    answer_names: tuple[str, ...] = ()
    exclusive: bool = True
    vectors: NDArray[np.float32] | None = None
    words: tuple[str, ...] | None = field(default=None, repr=False)

    @property
    def count(self) -> int:
        """How many examples."""
        return len(next(part for part in self._parts if part is not None))

    @property
    def _parts(self) -> "tuple[Sized | None, ...]":
        return (*self.numbers.values(), self.answers, self.vectors, self.words)

    def save(self, path: Path) -> None:
        """Write it as an `.npz` file, whole or not at all.

        Args:
            path: The file; a `.npz` is added where its name has no ending of the kind.
        """
        about = {
            "version": _VERSION,
            "noun": self.noun,
            "model": self.model,
            "answer_names": self.answer_names,
            "exclusive": self.exclusive,
        }
        arrays: dict[str, Any] = {_NUMBER + name: values for name, values in self.numbers.items()}
        for name in ("answers", "vectors"):
            if (values := getattr(self, name)) is not None:
                arrays[name] = values
        if self.words is not None:
            arrays["words"] = np.frombuffer("\n".join(self.words).encode(), np.uint8)
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        with written_whole(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays)


def read_profile(path: Path) -> Profile:
    """Read what `Profile.save` wrote.

    Args:
        path: The `.npz` file.

    Returns:
        The profile.

    Raises:
        DataError: When it is none, or another version's.
    """
    try:
        refuse_irregular(path)
        if (fault := inflated_fault(path)) is not None:
            raise DataError(f"'{path}' is no drift profile: {fault}", hint=_WANTED)
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        about = json.loads(found.pop("about").tobytes())
        if about["version"] != _VERSION:
            raise DataError(f"'{path}' is a drift profile of version {about['version']}; expected {_VERSION}")
        numbers = {name.removeprefix(_NUMBER): found[name] for name in found if name.startswith(_NUMBER)}
        read = found["words"].tobytes().decode() if "words" in found else None
        profile = Profile(
            noun=str(about["noun"]),
            model=str(about["model"]),
            numbers=numbers,
            answers=found.get("answers"),
            answer_names=tuple(map(str, about["answer_names"])),
            exclusive=bool(about["exclusive"]),
            vectors=found.get("vectors"),
            words=None if read is None else tuple(read.split("\n")),
        )
    except OSError as fault:
        raise DataError(f"'{path}' cannot be read: {fault.strerror or fault}", hint=_WANTED) from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        raise DataError(f"'{path}' is no drift profile", hint=_WANTED) from None
    if not _is_whole(profile):
        raise DataError(f"'{path}' is no whole drift profile: its arrays differ in length", hint=_WANTED)
    return profile


def _is_whole(profile: Profile) -> bool:
    wide = profile.answers is None or profile.answers.shape[1:] == (len(profile.answer_names),)
    return wide and len({len(part) for part in profile._parts if part is not None}) == 1


def words_of(text: str) -> str:
    """The words of a text in lower case, each once, in alphabetical order: order and number are not kept.

    Example:
        >>> words_of("The bus, the bus!")
        'bus the'
    """
    return " ".join(sorted(set(_WORD.findall(text.lower()))))
