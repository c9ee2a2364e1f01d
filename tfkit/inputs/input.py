"""What goes into a model, as one value: its tensors, batches, what clients send, and how files and reports tell it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tfkit.artifacts import InputSpec, TensorSpec
from tfkit.data.targets import CLASSES, Targets
from tfkit.runtimes.protocol import Feed, ModelInputs

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

    from tfkit.data.examples import Examples

SpecT = TypeVar("SpecT", bound=InputSpec)


@dataclass(frozen=True)
class Reading:
    """How a labelled file or folder is read for a model that exists already.

    Attributes:
        class_names: The model's classes; None takes those of the data.
        targets: What examples are labelled with.
        columns: How a file of rows is laid out, as `load_text_examples` takes it.
        progress: Called with examples read and those in all.
    """

    class_names: tuple[str, ...] | None = None
    targets: Targets = CLASSES
    columns: Mapping[str, Any] = field(default_factory=dict)
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Serving:
    """What stands in front of a model in a SavedModel.

    Attributes:
        tensors: What the endpoint of numbers takes; None is any size.
        sent: What the endpoint for clients calls the strings it takes; empty when clients send the numbers themselves.
        decoded: In the graph, from these strings (n,) to tensors by the model's names.
        tables: Layers with lookup tables that `decoded` asks.
    """

    tensors: tuple[TensorSpec, ...]
    sent: str = ""
    decoded: "Callable[[tf.Tensor], dict[str, tf.Tensor]] | None" = None
    tables: "tuple[keras.Layer, ...]" = ()


@dataclass(frozen=True)
class Prose:
    """How a report speaks of examples.

    Attributes:
        piece: What one is read from: "file".
        unclear: Those that anybody may mistake.
        of_none: One that is none of the classes, as "an image that shows none of them".
        of_others: As "images of other things".
        made: What somebody did to have them.
        show: What they do with what is in them.
        tell_of: What they do with people.
        people: Where these people are, as "the people in them".
        depends_on: What accuracy may depend on and nobody measured, to the end of the sentence.
        alike: Which ones may lie in two splits without being equal, in a sentence.
    """

    piece: str
    unclear: str
    of_none: str
    of_others: str
    made: str
    show: str
    tell_of: str
    people: str
    depends_on: str
    alike: str


@dataclass(frozen=True)
class TensorDescription:
    """What TFLite metadata say of one input.

    Attributes:
        name: What it is called there.
        told: What it holds, in a sentence.
        image: Height, width and channels of pixels; None of other numbers.
    """

    name: str
    told: str
    image: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class FileDescription:
    """What TFLite metadata say of a file's inputs.

    Attributes:
        tensors: A description by the name of each tensor.
        parser: The least version of a metadata parser that reads it.
        vocabulary: A BERT tokeniser's vocabulary that goes with the file; None for no tokeniser.
        unread: Inputs to add that readers ask for and no operator reads: int32, as long as the first.
        beyond_mediapipe: Why MediaPipe Tasks refuses such files, in a sentence; None where it takes them.
    """

    tensors: Mapping[str, TensorDescription]
    parser: str = "1.0.0"
    vocabulary: bytes | None = None
    unread: tuple[str, ...] = ()
    beyond_mediapipe: str | None = None


def as_it_is(model: "keras.Model", given: object = None) -> "keras.Model":
    """A model that needs no other form."""
    return model


def as_fed(feed: Feed) -> Feed:
    """A batch that has no padding."""
    return feed


def nothing_beside(examples: "Examples", folder: Path) -> list[dict[str, str]]:
    """Examples that are numbers alone, which lie in `inputs.npz`."""
    return [{} for _ in range(len(examples))]


def nothing_measured(shown: "np.ndarray | Sequence[str]") -> "dict[str, NDArray[np.float32]]":
    """Examples of which drift compares answers and features alone."""
    return {}


@dataclass(frozen=True)
class Input(Generic[SpecT]):
    """What goes into a model.

    Attributes:
        spec: The type that says the size of it.
        noun: What one example is called: "image"; its plural ends in s.
        holds: What its tensors hold: "pixels".
        doubts: What may be another than it was in training, where a model does no better than chance.
        labelled: From a file or folder, the spec and how to read it to labelled examples.
        fed_on_host: Whether a `.tflite` file is fed without TensorFlow.
        shown: What a report shows of examples: uint8 (n, height, width, channels) pixels, or texts.
        told: What a model takes, in a few words.
        explained: The same in a sentence or two, in Markdown.
        document: The same for `report.json`.
        prose: How a report speaks of examples.
        tensors: What a Keras model and its float file take, by name; the batch is None.
        faults: Why a Keras model does not take it, in phrases; empty when it does.
        batches: From examples, the spec, how many at a time, and whether to do without TensorFlow where that is
            possible, to what feeds a runtime: arrays by name, in the examples' order.
        by_length: Positions of examples from the shortest to the longest; None where all are of one length.
        unpadded: Of a batch, what is left without padding that none of its examples needs.
        noise: So many made-up examples to feed a runtime with: how long they take is what real ones take.
        serving: What a SavedModel has in front of the model.
        described: What a file's metadata say.
        measured: Of what a report shows of n examples, numbers in which inputs of another kind differ: float32 (n,) by
            the name for people; nothing by default.
        sent: What a client sends for each example; None when clients send the numbers.
        beside: Writes what clients send to a folder; gives what `golden.json` says of each example.
        opened: From a model and a few examples to the form that is compressed.
        plain: From a model to the form of its float files.
        sized: From a form of the model to one of the spec's own size.
        uncalibrated: Why int8 cannot be made after training, and a hint; None where it can.
        noise_tells: Whether noise says how near an integer file is to its model.
        ranges: The range of an input that is known by definition, whatever calibration shows, by name.
    """

    spec: type[SpecT]
    noun: str
    holds: str
    doubts: str
    labelled: "Callable[[Path, SpecT, Reading], Examples]"
    fed_on_host: bool
    shown: "Callable[[Examples, SpecT], np.ndarray | Sequence[str]]"
    told: Callable[[SpecT], str]
    explained: Callable[[SpecT], str]
    document: Callable[[SpecT], dict[str, object]]
    prose: Prose
    tensors: Callable[[SpecT], tuple[TensorSpec, ...]]
    faults: "Callable[[keras.Model, SpecT], list[str]]"
    batches: "Callable[[Examples, SpecT, int, bool], Iterator[Feed]]"
    noise: Callable[[SpecT, int], Feed]
    serving: Callable[[SpecT], Serving]
    described: Callable[[SpecT], FileDescription]
    measured: "Callable[[np.ndarray | Sequence[str]], dict[str, NDArray[np.float32]]]" = nothing_measured
    sent: "Callable[[Examples], Sequence[bytes]] | None" = None
    beside: "Callable[[Examples, Path], list[dict[str, str]]]" = nothing_beside
    by_length: "Callable[[Examples, SpecT], NDArray[np.intp]] | None" = None
    unpadded: Callable[[Feed], Feed] = as_fed
    opened: "Callable[[keras.Model, ModelInputs], keras.Model]" = as_it_is
    plain: "Callable[[keras.Model], keras.Model]" = as_it_is
    sized: "Callable[[keras.Model, SpecT], keras.Model]" = as_it_is
    uncalibrated: tuple[str, str] | None = None
    noise_tells: bool = True
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
