"""What was made smaller in a transformer, and what the whole one cost on this machine."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.benchmarking import measure_latency
from tfkit.compression.transformers import Block, StudentPlan
from tfkit.exporters.text_quantization import export_text_dynamic_int8
from tfkit.runtimes import LiteRTRuntime


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
    text: dict[str, NDArray[np.int32]],
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
