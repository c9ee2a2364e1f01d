"""What the keys of a recipe may hold: types, and in words what is expected of them."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeVar, Unpack

from pydantic import AfterValidator, BeforeValidator, Field

from tfkit.errors import is_printable

T = TypeVar("T")


def text_of_number(value: object) -> object:
    # `classes: [5, 6]` and `run.name=2024` mean names, though YAML reads numbers there.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _home_expanded(text: str) -> str:
    return str(_expanded(Path(text))) if text.startswith("~") else text


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("there is no such user") from None


def _one_line(value: T) -> T:
    if not is_printable(str(value)):
        raise ValueError("control characters or line breaks")
    return value


def all_different(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("a value stands twice")
    return values


# Numbers of training become float32: what it cannot hold would be infinite, or 0.
LARGEST, SMALLEST = 3.4e38, 1.2e-38

Name = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]  # where a number means something else
Text = Annotated[Name, BeforeValidator(text_of_number)]
NameOrPath = Annotated[Text, AfterValidator(_home_expanded)]
ScriptName = Annotated[Name, Field(pattern=r"^([a-z0-9_]+|.+\.py)$")]
FilePath = Annotated[Path, AfterValidator(_one_line), AfterValidator(_expanded)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountFromZero = Annotated[int, Field(ge=0, le=1_000_000)]
LargeCount = Annotated[int, Field(ge=1, le=2**53)]
Pixels = Annotated[int, Field(ge=1, le=8192)]
Positive = Annotated[float, Field(ge=SMALLEST, le=LARGEST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
ClosedFraction = Annotated[float, Field(ge=0, le=1)]
ClassNames = Annotated[tuple[Text, ...], Field(min_length=2), AfterValidator(all_different)]
ClassWeights = Literal["balanced"] | Annotated[dict[Text, Positive], Field(min_length=1)] | None

# The same in words, for messages.
SCRIPT_NAME = "the name of a recipe script, such as finetune_image, or the path of a .py file"
COUNT = "a whole number of 1 or more"
POSITIVE = "a number above 0"
NOT_NEGATIVE = "a number of 0 or more"
FRACTION = "a number in [0, 1)"
CLASS_WEIGHTS = "'balanced', null or {class name: weight above 0, ...}"
EARLY_STOPPING = "a whole number of epochs of 1 or more, or null"
CLASS_NAMES = "a list of 2 or more different class names"
FLAG = "true or false"


class _Constraints(TypedDict, total=False):
    """What pydantic's `Field` takes besides, of which only this is needed."""

    pattern: str
    ge: int
    lt: int


def key(expected: str, description: str, default: Any = ..., **constraints: Unpack[_Constraints]) -> Any:
    """A field that knows, in words, which values it takes; the loader's messages say them."""
    return Field(default, description=description, json_schema_extra={"expected": expected}, **constraints)


def classes_key() -> Any:
    """`data.classes`, of images and of texts."""
    return key(CLASS_NAMES, "Keep only these classes, in this order.", None)


def labels_per_class_key() -> Any:
    """`data.labels_per_class`, of images and of texts."""
    return key(COUNT + ", or null", "Keep so many training examples a class; the others are left out.", None)


def on_leakage_key() -> Any:
    """`data.on_leakage`, of images and of texts."""
    return choice(
        "The same content in two splits: `keep` tells it, `drop` leaves it out of what is learned from, `error` stops.",
        "keep",
    )


def suspicious_labels_key() -> Any:
    """`data.suspicious_labels`, of images and of texts."""
    return key(
        FLAG,
        "Tell training examples whose class is likely wrong, where a head learns on features that are computed once.",
        True,
    )


def teacher_key() -> Any:
    """`distillation.teacher`, of images and of texts."""
    return key(
        "a model file, an earlier run's folder, or null",
        "Who teaches; null: this run's own float model, in pruning and quantization.",
        None,
    )


def choice(description: str, default: Any = ...) -> Any:
    """A field whose values pydantic lists in its own message."""
    return Field(default, description=description)
