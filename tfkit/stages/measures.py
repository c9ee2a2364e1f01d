"""What was made smaller, and what the whole model cost on this machine: channels of images, layers of transformers."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from tfkit.artifacts import ImageSpec
from tfkit.benchmarking import measure_latency
from tfkit.benchmarking.op_profile import OpProfile, profile_operators
from tfkit.compression.channels import ChannelPlan, PlannedGroup, predict_bytes, predict_latency
from tfkit.compression.transformers import Block, StudentPlan
from tfkit.errors import ModelError
from tfkit.exporters import export_tflite
from tfkit.exporters.text_quantization import export_text_dynamic_int8
from tfkit.keras_types import Array, Inputs
from tfkit.models import named_outputs
from tfkit.runtimes import LiteRTRuntime


@dataclass(frozen=True)
class UnprunedFile:
    """The int8 file of the model before its channels were pruned, measured on this machine.

    Attributes:
        bytes: Its size.
        profile: The times of its operators.
    """

    bytes: int
    profile: OpProfile


@dataclass(frozen=True)
class ChannelPruning:
    """What channel pruning planned, and what it promised.

    Attributes:
        criterion: How channels were ranked.
        groups: Every group of channels.
        parameters_before, parameters_after: Weights of the model.
        multiply_adds_before, multiply_adds_after: For one image.
        latency_ms_before: Of the unpruned int8 file, measured; None when it could not be profiled; so are the others.
        expected_latency_ms: Of the pruned int8 file, from the operator profile.
        bytes_before: Of the unpruned int8 file, with ranges from calibration.
        expected_bytes: Of the pruned one.
    """

    criterion: str
    groups: tuple[PlannedGroup, ...]
    parameters_before: int
    parameters_after: int
    multiply_adds_before: int
    multiply_adds_after: int
    latency_ms_before: float | None = None
    expected_latency_ms: float | None = None
    bytes_before: int | None = None
    expected_bytes: int | None = None

    @property
    def promise(self) -> str:
        """What to expect, in a sentence."""
        share = self.multiply_adds_after / max(1, self.multiply_adds_before)
        weights = f"{self.parameters_after:,} of {self.parameters_before:,} weights"
        said = f"{weights} and {share:.0%} of the multiply-adds are left"
        if self.expected_latency_ms is None or self.latency_ms_before is None or self.expected_bytes is None:
            return f"{said}; the time to expect is not known: this machine's LiteRT has no operator profiler"
        return (
            f"{said}; expected of the int8 file: {self.expected_latency_ms:.2f} ms instead of "
            f"{self.latency_ms_before:.2f}, {self.expected_bytes / 1000:,.0f} kB"
        )


def measure_unpruned(
    model: keras.Model, *, image: ImageSpec, calibration: Inputs, threads: int = 1
) -> UnprunedFile | None:
    """Export the model's int8 file as it is and time its operators: what pruning its channels is judged by.

    Args:
        model: The float Keras model.
        image: The images it takes.
        calibration: Some hundred training images: `pixels` uint8 (n, height, width, channels), by name or bare.
        threads: CPU threads.

    Returns:
        The file's measures; None when this machine's LiteRT has no profiler.

    Raises:
        ExportError: When the model has no int8 file.
    """
    classes = tuple(map(str, range(named_outputs(model))))
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
        path = Path(folder) / "unpruned.tflite"
        export_tflite(model, path, quantization="int8", spec=image, class_names=classes, calibration=calibration)
        try:
            return UnprunedFile(path.stat().st_size, profile_operators(path, threads=threads))
        except ModelError:
            return None


def channel_pruning(plan: ChannelPlan, unpruned: UnprunedFile | None) -> ChannelPruning:
    """Bring a plan together with what it promises on this machine.

    Args:
        plan: The plan.
        unpruned: The measures of the unpruned file; None when there are none.

    Returns:
        What the report tells.
    """
    counted = ChannelPruning(
        criterion=plan.criterion,
        groups=plan.groups,
        parameters_before=plan.parameters_before,
        parameters_after=plan.parameters_after,
        multiply_adds_before=plan.multiply_adds_before,
        multiply_adds_after=plan.multiply_adds_after,
    )
    if unpruned is None:
        return counted
    before, after = plan.costs_before, plan.costs_after
    return replace(
        counted,
        latency_ms_before=unpruned.profile.latency_ms,
        expected_latency_ms=predict_latency(unpruned.profile, before=before, after=after),
        bytes_before=unpruned.bytes,
        expected_bytes=predict_bytes(unpruned.bytes, before=before, after=after),
    )


@dataclass(frozen=True)
class TransformerSize:
    """How large a text classifier is.

    Attributes:
        layers: Layers of its encoder.
        heads: Attention heads in each; of uneven layers the most, as of the next.
        feedforward: Neurons in each layer's feed-forward part.
        parameters: Weights of the whole model.
        multiply_adds: Of the encoder, for one text of full length.
    """

    layers: int
    heads: int
    feedforward: int
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class TransformerPruning:
    """What was removed from a transformer.

    Attributes:
        before, after: Its sizes.
        kept_layers: The names of the layers that stayed.
        drop: How the layers were chosen.
        criterion: How heads and neurons were ranked.
        latency_ms_before: Time of one text in the whole model's dynamic_int8 file, measured on this machine.
        bytes_before: Size of that file.
    """

    before: TransformerSize
    after: TransformerSize
    kept_layers: tuple[str, ...]
    drop: str
    criterion: str
    latency_ms_before: float
    bytes_before: int

    @property
    def note(self) -> str:
        """What was done, in a sentence."""
        parts = [
            f"{after} of {before} {what}"
            for what, before, after in (
                ("layers", self.before.layers, self.after.layers),
                ("heads in each", self.before.heads, self.after.heads),
                ("feed-forward neurons in each", self.before.feedforward, self.after.feedforward),
            )
        ]
        share = self.after.multiply_adds / self.before.multiply_adds
        return f"{', '.join(parts)} stay: {share:.0%} of the encoder's multiply-adds"


def transformer_pruning(
    whole: keras.Model,
    student: keras.Model,
    plan: StudentPlan,
    text: Mapping[str, Array],
    *,
    threads: int = 1,
) -> TransformerPruning:
    """Measure the whole model's file, and compare the student with the model it was cut from.

    Args:
        whole: The opened transformer.
        student: What was cut from it.
        plan: How.
        text: `token_ids` and `padding_mask` of one text, int32 (1, length).
        threads: CPU threads that the file runs on.

    Returns:
        What the report tells.

    Raises:
        ExportError: When the whole model cannot be made into a file.
    """
    length = text["token_ids"].shape[1]
    flatbuffer = export_text_dynamic_int8(whole, sequence_length=length).flatbuffer
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
        path = Path(folder) / "whole.tflite"
        path.write_bytes(flatbuffer)
        with LiteRTRuntime(path, threads=threads) as runtime:
            latency = measure_latency(runtime, text)
    return TransformerPruning(
        before=_size(whole, tuple(cut.block for cut in plan.cuts), length),
        after=_size(student, plan.blocks, length),
        kept_layers=tuple(block.name for block in plan.blocks),
        drop=plan.size.drop,
        criterion=plan.size.criterion,
        latency_ms_before=latency.latency_ms_p50,
        bytes_before=len(flatbuffer),
    )


def _size(model: keras.Model, blocks: tuple[Block, ...], length: int) -> TransformerSize:
    return TransformerSize(
        layers=len(blocks),
        heads=max(block.heads for block in blocks),
        feedforward=max(block.neurons for block in blocks),
        parameters=model.count_params(),
        multiply_adds=sum(block.multiply_adds(length=length) for block in blocks),
    )
