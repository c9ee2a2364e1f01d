"""Which exported files are good enough to ship, and why others are not."""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from tfkit.artifacts import INTEGER
from tfkit.inputs import input_of
from tfkit.tasks import task_named
from tfkit.verification.artifact_verification import ArtifactVerification

# A share of n images is a float; an exact "one point" must not fail on its last digit.
_ROUNDING = 1e-9
_TELLING_EXAMPLES = 20  # fewer are at chance by chance


@dataclass(frozen=True)
class AcceptancePolicy:
    """What an exported file must keep to.

    Attributes:
        max_accuracy_drop: What of its task's deciding figure (accuracy, F1, R2) it may lose, a fraction (0.01 is one
            point): against the Keras model it was made from, and against the float model that was compressed.
        min_agreement: Share of images or texts on which it must give the same answer as Keras.
        max_bytes: Largest size on disk, None for any.
        max_latency_ms_p95: Largest 95th percentile of latency in milliseconds, None for any.
        max_float_ops: Operators of an int8 file that may compute in float, None for any.
        min_cosine: Of embedders: least cosine of any text's vector with Keras's, None for any. Their `min_agreement` is
            the share of texts whose nearest indexed text is the same.
        min_runtime: The oldest TensorFlow Lite runtime that must read a `.tflite` file, such as `2.14`; None for any.
        tolerance: Of numbers: how far two may lie apart and be the same; None for .1 of their standard deviation.
    """

    max_accuracy_drop: float = 0.01
    min_agreement: float = 0.98
    max_bytes: int | None = None
    max_latency_ms_p95: float | None = None
    max_float_ops: int | None = 0
    min_cosine: float | None = None
    min_runtime: str | None = None
    tolerance: float | None = None


def refusals(
    verification: ArtifactVerification,
    latency_ms_p95: float | None,
    *,
    keras_accuracy: float | None,
    policy: AcceptancePolicy,
    float_accuracy: float | None = None,
    further: Sequence[str] = (),
) -> tuple[str, ...]:
    """Say why an exported file must not ship.

    Args:
        verification: What running it showed.
        latency_ms_p95: Its 95th percentile of latency in milliseconds, None when it was not measured.
        keras_accuracy: The deciding figure of the model it was made from, None when there is none.
        policy: What it must keep to.
        float_accuracy: That of the model before it was compressed, None when it was not or nobody knows.
        further: What else speaks against it, in phrases.

    Returns:
        One full sentence for each limit it breaks; empty when it is accepted.

    Example:
        >>> refusals(verification, 3.2, keras_accuracy=0.96, policy=AcceptancePolicy())  # doctest: +SKIP
        ()
    """
    file = verification.artifact.path.name
    if verification.artifact.format == "saved_model":
        file = f"{verification.artifact.path.parent.name}/{file}"
    found = [
        *verification.problems,
        *_chance_faults(verification),
        *_quality_faults(verification, keras_accuracy, "Keras's", policy),
        *_quality_faults(verification, float_accuracy, "the float model's", policy),
        *_agreement_faults(verification, policy),
        *_size_faults(verification, policy),
        *_latency_faults(latency_ms_p95, policy),
        *_runtime_faults(verification, policy),
        *further,
    ]
    return tuple(f"{file}: {fault}." for fault in found)


def _chance_faults(verification: ArtifactVerification) -> list[str]:
    classes, quality, chance = len(verification.artifact.class_names), verification.quality, verification.chance
    if quality is None or chance is None or verification.examples < max(_TELLING_EXAMPLES, 2 * classes):
        return []
    if quality.value > chance:
        return []
    other = input_of(verification.artifact.input).doubts
    return [
        f"{_unit(verification)} {quality.value:.4f} is no better than chance, {chance:.4f}; the model has learned "
        f"nothing, or it learned with another order of the labels, or {other} is not as it was then"
    ]


def _unit(verification: ArtifactVerification) -> str:
    """What the deciding figure is called."""
    return task_named(verification.artifact.task).unit


def _quality_faults(
    verification: ArtifactVerification, compared: float | None, whose: str, policy: AcceptancePolicy
) -> list[str]:
    value = None if verification.quality is None else verification.quality.value
    if value is None or compared is None or compared - value <= policy.max_accuracy_drop + _ROUNDING:
        return []
    return [
        f"{_unit(verification)} {value:.4f} is {100 * (compared - value):.2f} points below {whose} {compared:.4f}; "
        f"acceptance.max_accuracy_drop allows {100 * policy.max_accuracy_drop:.2f}"
    ]


def _agreement_faults(verification: ArtifactVerification, policy: AcceptancePolicy) -> list[str]:
    faults = []
    agreement = verification.agreement
    if agreement is not None and agreement < policy.min_agreement - _ROUNDING:
        kind = f"{input_of(verification.artifact.input).noun}s"
        faults.append(
            f"it agrees with Keras on {agreement:.4f} of {verification.examples} {kind}; "
            f"acceptance.min_agreement asks for {policy.min_agreement:.4f}"
        )
    cosine = verification.compared.get("min_cosine")
    if cosine is not None and policy.min_cosine is not None and cosine < policy.min_cosine - _ROUNDING:
        faults.append(
            f"a text's vector has a cosine of {cosine:.4f} with Keras's; acceptance.min_cosine asks for "
            f"{policy.min_cosine:.4f}"
        )
    return faults


def _size_faults(verification: ArtifactVerification, policy: AcceptancePolicy) -> list[str]:
    faults = []
    size = verification.artifact.bytes
    if policy.max_bytes is not None and size > policy.max_bytes:
        faults.append(f"it has {size:,} bytes; acceptance.max_bytes allows {policy.max_bytes:,}")
    most, integer = policy.max_float_ops, verification.artifact.quantization in INTEGER
    if integer and most is not None and verification.float_ops > most:
        faults.append(
            f"{verification.float_ops} of its {sum(verification.operators.values())} operators compute in float; "
            f"an int8 file may have {most}"
        )
    return faults


def _latency_faults(latency_ms_p95: float | None, policy: AcceptancePolicy) -> list[str]:
    limit = policy.max_latency_ms_p95
    if limit is None or latency_ms_p95 is None or latency_ms_p95 <= limit:
        return []
    return [f"latency p95 is {latency_ms_p95:.2f} ms; acceptance.max_latency_ms_p95 allows {limit:.2f}"]


def _runtime_faults(verification: ArtifactVerification, policy: AcceptancePolicy) -> list[str]:
    oldest, portability = policy.min_runtime, verification.portability
    if oldest is None or portability is None or Version(portability.min_runtime) <= Version(oldest):
        return []
    return [
        f"it needs a TensorFlow Lite runtime of {portability.min_runtime} or later; acceptance.min_runtime is {oldest}"
    ]
