"""A bundle for phones and small computers: the file, its golden samples, programs in four languages."""

import inspect
import json
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import LABELS_NAME, Artifact, ImageSpec, RunDirectory, TextSpec, labels_file
from tfkit.artifacts.artifact import SPECIFICATION_FILE
from tfkit.deployment.golden_files import GoldenSamples, write_golden_files
from tfkit.deployment.lite_files import device_document, is_one_sigmoid, size_report
from tfkit.deployment.names import check_name
from tfkit.deployment.proved import accepted_file
from tfkit.deployment.tolerances import other_processor
from tfkit.deployment.word_pieces import VOCABULARY_FILE, refuse_other_tokenizers, word_piece_values
from tfkit.errors import ConfigError, ExportError
from tfkit.exporters.metadata import beyond_mediapipe
from tfkit.files import write_whole
from tfkit.tasks import task_named

_OF_PICTURES = frozenset({"android/Pixels.kt", "ios/Pixels.swift", "cpp/pixels.h", "cpp/pictures.h"})
_OF_TEXTS = frozenset({"android/WordPieces.kt", "ios/WordPieces.swift", "linux/word_pieces.py"})
_MEDIAPIPE = "android/MediaPipeClassifier.kt"
_C_TYPES = {"uint8": "uint8_t", "int8": "int8_t", "float32": "float"}
_TOKENIZER_FILES = (SPECIFICATION_FILE, VOCABULARY_FILE)


@dataclass(frozen=True)
class MobileOptions:
    """What a bundle for phones is told.

    Attributes:
        name: What the model is called: small letters, digits and dashes, 40 at most.
        file: Which of the run's files; the smallest kind that was accepted when None: int8 first.
        core_ml: Whether a Core ML package is made beside it, by coremltools.

    Raises:
        ConfigError: When the name is none.

    Example:
        >>> MobileOptions("digits").file is None
        True
    """

    name: str
    file: str | None = None
    core_ml: bool = False

    def __post_init__(self) -> None:
        if faults := check_name(self.name):
            raise ConfigError("; ".join(faults), hint="name the model with --name, such as ants-or-bees")


def mobile_model(run: RunDirectory, options: MobileOptions) -> Artifact:
    """The file of a run that a phone is given.

    Args:
        run: The run.
        options: What the bundle is told.

    Returns:
        An accepted `.tflite` file.

    Raises:
        ExportError: When there is none, or it takes texts that the samples have no tokeniser for.
    """
    served = accepted_file(run, ("tflite",), file=options.file)
    if not isinstance(served.input, ImageSpec | TextSpec):
        raise ExportError(
            f"'{served.path}' takes neither pictures nor texts, and the samples feed nothing else",
            hint="write the feeding in the app; golden/ of the run holds inputs and answers",
        )
    refuse_other_tokenizers(run, served)
    if (output := served.signature.outputs[0]).dtype not in _C_TYPES:
        raise ExportError(
            f"'{served.path}' answers in {output.dtype}, which the samples do not read",
            hint="name another file with --file",
        )
    return served


def write_mobile_model(folder: Path, served: Artifact, samples: GoldenSamples) -> None:
    """Copy the file with its labels and tokeniser, and write golden files, `model.json` and `size_report.json`.

    Args:
        folder: The bundle's folder.
        served: The file.
        samples: Its golden samples.
    """
    shutil.copyfile(served.path, folder / served.path.name)
    if task_named(served.task).has_labels:
        write_whole(folder / LABELS_NAME, labels_file(served.class_names))
    if isinstance(served.input, TextSpec):
        (folder / "tokenizer").mkdir()
        for name in _TOKENIZER_FILES:
            shutil.copyfile(served.input.tokenizer / name, folder / "tokenizer" / name)
    write_golden_files(folder, served, samples)
    _write_json(folder / "model.json", device_document(served, samples.expected))
    _write_json(folder / "size_report.json", size_report(served))
    if isinstance(served.input, ImageSpec):
        from tfkit.data import host_images

        # The very functions of training: the sample needs no tfkit, and there is no second copy to keep in step.
        (folder / "linux").mkdir()
        write_whole(folder / "linux/pixels.py", inspect.getsource(host_images))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_whole(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def mobile_left_out(served: Artifact) -> frozenset[str]:
    """Which of the templates a file's bundle does without.

    Args:
        served: The file.

    Returns:
        Those of the other kind of input, and MediaPipe's where it does not take the file.
    """
    others = _OF_TEXTS if isinstance(served.input, ImageSpec) else _OF_PICTURES
    return others if _is_for_mediapipe(served) else others | {_MEDIAPIPE}


def mobile_values(served: Artifact, options: MobileOptions, samples: GoldenSamples) -> dict[str, Any]:
    """What the templates of `mobile` name.

    Args:
        served: The file.
        options: What the bundle is told.
        samples: Its golden samples.

    Returns:
        Names and numbers.
    """
    (output,) = served.signature.outputs
    count, scores = samples.expected.shape
    scale = float(np.float32(1.0 if output.scale is None else output.scale))
    values = {
        "name": options.name,
        "core_ml": options.core_ml,
        "file": served.path.name,
        "file_stem": served.path.stem,
        "task": served.task,
        "samples": count,
        "scores": scores,
        "outputs": output.shape[-1],
        "output_name": output.name,
        "one_sigmoid": is_one_sigmoid(served),
        "output_bytes": np.dtype(output.dtype).itemsize,
        "output_is_signed": output.dtype == "int8",
        "output_c": _C_TYPES[output.dtype],
        "scale": repr(scale),
        "scale_c": f"{scale!r}f",
        "zero_point": output.zero_point or 0,
        "apart": repr(other_processor(served, samples.expected)),
        "has_labels": task_named(served.task).has_labels,
        "mediapipe": _is_for_mediapipe(served),
        "beyond_mediapipe": beyond_mediapipe(served.input),
        "litert": metadata.version("ai-edge-litert"),
        "size": size_report(served),
    }
    if isinstance(served.input, TextSpec):
        return values | {"is_text": True} | word_piece_values(served.input)
    assert isinstance(served.input, ImageSpec)
    (given,) = served.signature.inputs
    about = {"input_name": given.name, "input_c": _C_TYPES[given.dtype], "input_is_float": given.dtype == "float32"}
    return values | {"is_text": False} | about | vars(served.input)


def _is_for_mediapipe(served: Artifact) -> bool:
    grey = isinstance(served.input, ImageSpec) and served.input.channels != 3  # it takes colours alone
    return task_named(served.task).has_labels and not grey and beyond_mediapipe(served.input) is None
