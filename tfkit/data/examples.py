"""What a data set is once it is read: labelled examples, their splits, and the account of what was done."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, Self

import numpy as np
from typing_extensions import TypeVar

from tfkit.artifacts import ImageSpec
from tfkit.cores import usable_cores
from tfkit.data.kept_pixels import KeptPixels
from tfkit.data.lost_files import Losses
from tfkit.data.sources import ImageSource
from tfkit.data.targets import target_counts


class Examples(Protocol):
    """Labelled images or texts of one split.

    Attributes:
        labels: int32 (n,), positions in `class_names`; of several labels uint8 (n, k), of numbers float32 (n, k).
        names: How to call each example in reports.
        class_names: The labels' names, in the order of a model's scores.
    """

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def select(self, positions: np.ndarray) -> Self:
        """The examples at `positions` (int (m,), 0..n-1), in that order."""
        ...

    def class_counts(self) -> dict[str, int]:
        """How many examples each class or label has, in the order of `class_names`; of numbers all."""
        ...


@dataclass(frozen=True, eq=False)
class ImageExamples:
    """Labelled images of one split; the pixels stay where they are until a pipeline asks for them.

    Attributes:
        source: Where the pixels come from.
        indices: int64 (n,), positions in the source.
        labels: int32 (n,), positions in `class_names`; of several labels uint8 (n, k), of numbers float32 (n, k).
        names: How to call each example in reports: a relative path, or `test[17]`.
        class_names: The names of the classes, labels or numbers, in the order of a model's scores.

    Example:
        >>> splits = load_image_splits(source="digits")
        >>> sum(splits.train.select(np.arange(10)).class_counts().values())
        10
    """

    source: ImageSource
    indices: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, positions: np.ndarray) -> "ImageExamples":
        """The examples at `positions` (int (m,), 0..n-1), in that order."""
        return ImageExamples(
            source=self.source,
            indices=self.indices[positions],
            labels=self.labels[positions],
            names=tuple(self.names[position] for position in positions),
            class_names=self.class_names,
        )

    def in_classes(self, class_names: tuple[str, ...]) -> "ImageExamples":
        """The same examples, their labels as positions in other class names, which hold all of theirs."""
        places = np.array([class_names.index(name) for name in self.class_names], np.int32)
        return ImageExamples(self.source, self.indices, places[self.labels], self.names, class_names)

    def class_counts(self) -> dict[str, int]:
        """How many examples each class or label has, in the order of `class_names`; of numbers all."""
        return target_counts(self.labels, self.class_names)

    def kept(self, image: ImageSpec) -> KeptPixels | None:
        """Where a run keeps their pixels (`keep_pixels`); None when it does not, or in another size."""
        kept = self.source.kept
        return kept if kept is not None and kept.image == image else None


ExamplesT = TypeVar("ExamplesT", bound="Examples", default=ImageExamples)


@dataclass(frozen=True)
class LeftOut:
    """A file or record that was found and not used.

    Attributes:
        name: Its relative path or record name.
        reason: Why, as part of a sentence.
        path: Where the file is; None for a record, and for what is no image.
    """

    name: str
    reason: str
    path: Path | None = field(default=None, compare=False)


@dataclass(frozen=True)
class DataReport:
    """The account of a data set: what was kept, what was left out, and what was decided.

    Attributes:
        kept: Examples per split and class, `kept["train"]["ants"]`.
        left_out: Files that were found and not used, with the reason.
        duplicates: Groups of examples with the same content.
        leakage: Those groups that lie in more than one split: a score on them is not earned.
        notes: Decisions in sentences, such as which folder became the test split.
        examples: Examples per split; more or fewer than the sum of `kept` where an example has several labels.
        near_duplicates: Groups of images that look the same and are different files: told, never left out.
        near_leakage: Those groups that lie in more than one split.
    """

    kept: dict[str, dict[str, int]]
    left_out: tuple[LeftOut, ...]
    duplicates: tuple[tuple[str, ...], ...]
    leakage: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    examples: dict[str, int]
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    near_leakage: tuple[tuple[str, ...], ...] = ()

    def to_json(self) -> dict[str, object]:
        """The report as plain lists and dicts for `json.dump`."""
        return {
            "kept": self.kept,
            "left_out": [{"name": item.name, "reason": item.reason} for item in self.left_out],
            "duplicates": [list(group) for group in self.duplicates],
            "leakage": [list(group) for group in self.leakage],
            "notes": list(self.notes),
            "examples": self.examples,
            "near_duplicates": [list(group) for group in self.near_duplicates],
            "near_leakage": [list(group) for group in self.near_leakage],
        }


@dataclass(frozen=True, eq=False)
class DatasetSplits(Generic[ExamplesT]):
    """A data set ready for training: of images, or as `DatasetSplits[TextExamples]` of texts.

    Attributes:
        train: What the model learns from.
        validation: What early stopping looks at; may be empty.
        test: What the model and its exported files are judged on.
        report: The account of how these came to be.
        losses: What breaks or vanishes while they are used; None where nothing can.
    """

    train: ExamplesT
    validation: ExamplesT
    test: ExamplesT
    report: DataReport
    losses: Losses | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels' names, in the order of a model's scores."""
        return self.train.class_names


def host_pixel_batches(examples: ImageExamples, image: ImageSpec, *, batch_size: int) -> Iterator[np.ndarray]:
    """Fitted pixels in the order of the examples, without TensorFlow where the images' formats allow it.

    Args:
        examples: Which images.
        image: The size to fit them to.
        batch_size: Images an array; the last may hold fewer.

    Yields:
        uint8 (batch, height, width, channels), raw 0..255.

    Raises:
        DataError: When an image is damaged.
    """
    kept = examples.kept(image)
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(examples), batch_size):
            indices = examples.indices[start : start + batch_size]
            if kept is not None and kept.have(indices).all():
                yield kept.pixels(indices)
                continue
            decoded = pool.map(lambda index: examples.source.fitted_pixels(index, image), map(int, indices))
            pixels = np.stack(list(decoded))
            if kept is not None:
                kept.keep(indices, pixels)
            yield pixels
