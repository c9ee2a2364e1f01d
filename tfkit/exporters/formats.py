"""Export one model in several formats, by the names that recipes and the command line use."""

import importlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import cast

import keras

from tfkit.arguments import takes_text
from tfkit.artifacts import (
    FORMAT_NAMES,
    FORMATS,
    Artifact,
    Format,
    InputSpec,
    Lineage,
    PromptSpec,
    TaskName,
    format_named,
    write_manifest,
)
from tfkit.compression.tfmot.twin import TfKerasTwin
from tfkit.errors import ExportError
from tfkit.exporters.box_outputs import with_score_and_location
from tfkit.exporters.float_model import exportable_model, task_of_model
from tfkit.exporters.language_model.export import LanguageModelFiles
from tfkit.exporters.normalization import normalized
from tfkit.exporters.saved_model import export_saved_model
from tfkit.exporters.tflite import converted_to_float, export_tflite, makes_its_own_file
from tfkit.keras_types import Inputs
from tfkit.tasks import task_named


@takes_text
def export_formats(
    model: keras.Model | TfKerasTwin,
    formats: Sequence[str],
    directory: Path,
    *,
    spec: InputSpec,
    class_names: tuple[str, ...],
    calibration: Inputs | None = None,
    allow_float: Sequence[str] = (),
    task: TaskName = "classification",
    thresholds: tuple[float, ...] = (),
    lineage: Lineage | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[Artifact, ...]:
    """Write a model in each format, with a manifest and the labels beside them.

    Args:
        model: A built `keras.Model`: float32 (n, height, width, channels) raw pixels 0..255 in, or a dict of int32
            `token_ids` and `padding_mask`; (n, classes) out.
        formats: Out of `saved_model`, `tflite_float32`, `tflite_float16`, `tflite_dynamic_int8`, `tflite_int8`,
            `onnx_float32`, `onnx_int8`.
        directory: The artifacts folder: `saved_model/1`, `model_<kind>.tflite`, `labels.txt`, `manifest.json`.
        spec: The images or texts the model takes.
        class_names: Its labels, in the order of the scores.
        calibration: For `tflite_int8`: uint8 (n, height, width, channels), some hundred real training images; for
            texts a dict of int32 `token_ids` and `padding_mask`.
        allow_float: Float operators that `tflite_int8` made after training may have, as for `export_tflite`.
        task: What is asked of the model; `embedding` of an embedder, which has no class names.
        thresholds: What turns scores into answers; as for `Artifact`.
        lineage: Where the model comes from, for the manifest.
        progress: Called after each file with files done, files in all, and the format.

    Returns:
        One artifact for each format, in the order given.

    Raises:
        ExportError: When a format is unknown, or the model cannot be exported so; says which layer is in the way.
        RunError: When a file cannot be written.

    Example:
        >>> artifacts = export_formats(
        ...     model, ["saved_model", "tflite_float32"], Path("artifacts"), spec=image, class_names=("ants", "bees")
        ... )
        >>> sorted(path.name for path in Path("artifacts").iterdir())
        [...'model_float32.tflite', 'saved_model'...]
    """
    if unknown := [name for name in formats if name not in {one.name for one in FORMATS}]:
        raise ExportError(f"unknown formats: {', '.join(unknown)}", hint="the formats are " + ", ".join(FORMAT_NAMES))
    task = task_of_model(model, task)
    job = _Export(model, spec, class_names, calibration, allow_float, task, thresholds)
    artifacts: list[Artifact] = []
    for name in formats:
        if progress is not None:
            progress(len(artifacts), len(formats), name)
        wanted = format_named(name)
        write = _language_model if isinstance(spec, PromptSpec) else _EXPORTERS[wanted.kind]
        artifact = write(job, wanted, directory / wanted.file)
        artifacts.append(replace(artifact, task=task, thresholds=thresholds))
        job.made[name] = artifacts[-1]
    write_manifest(tuple(artifacts), directory, lineage=lineage)
    return tuple(artifacts)


@dataclass
class _Export:
    """A model on its way to several files, and what they share."""

    model: keras.Model | TfKerasTwin
    spec: InputSpec
    class_names: tuple[str, ...]
    calibration: Inputs | None
    allow_float: Sequence[str]
    task: TaskName
    thresholds: tuple[float, ...]
    float_flatbuffer: bytes | None = None
    language_model: LanguageModelFiles | None = None
    made: dict[str, Artifact] = field(default_factory=dict)

    def converted(self) -> bytes:
        """The float32 flatbuffer, converted once."""
        if self.float_flatbuffer is None:
            plain = exportable_model(self.model, spec=self.spec, class_names=self.class_names)
            self.float_flatbuffer = converted_to_float(plain, self.spec)
        return self.float_flatbuffer

    def integers(self) -> tuple[bytes, Artifact]:
        """The integer flatbuffer and its artifact; made once with the file itself, where that is asked for first."""
        if (made := self.made.get("tflite_int8")) is not None:
            return made.path.read_bytes(), made
        with tempfile.TemporaryDirectory() as folder:
            made = _tflite(self, format_named("tflite_int8"), Path(folder) / "model_int8.tflite")
            return made.path.read_bytes(), made


def _language_model(job: _Export, wanted: Format, path: Path) -> Artifact:
    if job.language_model is None:
        job.language_model = LanguageModelFiles(job.model, cast("PromptSpec", job.spec))
    return job.language_model.write(wanted, path)


def _no_language_model(job: _Export, wanted: Format, path: Path) -> Artifact:
    raise ExportError("litertlm is for language models alone", hint="leave it out, or run finetune_reply")


def _saved_model(job: _Export, wanted: Format, path: Path) -> Artifact:
    return export_saved_model(
        job.model, path, spec=job.spec, class_names=job.class_names, task=job.task, thresholds=job.thresholds
    )


def _tflite(job: _Export, wanted: Format, path: Path) -> Artifact:
    return export_tflite(
        job.model,
        path,
        quantization=wanted.quantization,
        spec=job.spec,
        class_names=job.class_names,
        calibration=job.calibration if wanted.is_integer else None,
        float_flatbuffer=None if makes_its_own_file(job.model, wanted.quantization) else job.converted(),
        allow_float=job.allow_float,
        task=job.task,
    )


def _onnx(job: _Export, wanted: Format, path: Path) -> Artifact:
    onnx = _onnx_exporter()
    integers = None
    if wanted.is_integer:
        flatbuffer, integers = job.integers()
    else:
        flatbuffer = job.converted()
    if task_named(job.task).answers_boxes:
        flatbuffer = with_score_and_location(normalized(flatbuffer))
    made: Artifact = onnx.export_onnx(
        flatbuffer,
        path,
        quantization=integers.quantization if integers else "none",
        spec=job.spec,
        class_names=job.class_names,
        task=job.task,
        thresholds=job.thresholds,
    )
    return made if integers is None else replace(made, layers=integers.layers)


def refuse_what_onnx_cannot_hold(flatbuffer: bytes) -> None:
    """Translate a `.tflite` file to ONNX and throw the model away.

    Args:
        flatbuffer: The file's bytes, as the converter or the quantiser made them.

    Raises:
        ExportError: As the export would; also when the library onnx is not installed.
    """
    _onnx_exporter().onnx_model(normalized(flatbuffer))


def _onnx_exporter() -> ModuleType:
    try:
        return importlib.import_module("tfkit.exporters.onnx.export")
    except ImportError as fault:
        if fault.name != "onnx":
            raise
        raise ExportError(
            "ONNX files are made by the library onnx, which is not installed", hint="pip install 'tfkit[onnx]'"
        ) from None


_EXPORTERS: dict[str, Callable[[_Export, Format, Path], Artifact]] = {
    "saved_model": _saved_model,
    "tflite": _tflite,
    "onnx": _onnx,
    "litertlm": _no_language_model,
}
