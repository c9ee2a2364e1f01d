"""A language model's files: float32, int8 weights, and a bundle for LiteRT-LM around the latter."""

from importlib import metadata
from pathlib import Path

import keras
from litert_quantizer import recipe
from litert_quantizer.recipe_manager import RecipeManager

from tfkit.artifacts import Artifact, Format, ModelSignature, PromptSpec
from tfkit.errors import ExportError
from tfkit.exporters.destination import finished_model
from tfkit.exporters.language_model.assembly import with_weights
from tfkit.exporters.language_model.bundle import write_bundle
from tfkit.exporters.language_model.tracing import trace
from tfkit.exporters.normalization import normalized, packed
from tfkit.exporters.quantization import quantize_with
from tfkit.models.text.language_model import LanguageModel, causal_lm_class
from tfkit.runtimes import read_signature


class LanguageModelFiles:
    """Makes a language model's files; the model is converted once, and rounded once.

    Args:
        model: A trained `LanguageModel`.
        spec: Its prompts; the folder of prompts is written already.

    Raises:
        ExportError: When the model is none, or has an operator that TFLite does not have.
    """

    def __init__(self, model: keras.Model, spec: PromptSpec) -> None:
        if not isinstance(model, LanguageModel):
            raise ExportError(
                f"'{model.name}' is no language model", hint="build one with tfkit.models.text.LanguageModel"
            )
        self._model, self._spec = model, spec
        self._floats: bytes | None = None
        self._integers: bytes | None = None

    def write(self, wanted: Format, path: Path) -> Artifact:
        """Write one file.

        Args:
            wanted: `tflite_float32`, `tflite_dynamic_int8` or `litertlm`.
            path: The file; it must not exist.

        Raises:
            ExportError: When the format is another one, or the file exists.
        """
        if wanted.kind not in ("tflite", "litertlm") or wanted.quantization not in ("none", "dynamic_int8"):
            raise ExportError(
                f"language models cannot be exported as {wanted.name}",
                hint="the formats are tflite_float32, tflite_dynamic_int8 and litertlm",
            )
        with finished_model(path) as unfinished:
            content = self.floats() if wanted.quantization == "none" else self.integers()
            if wanted.kind == "tflite":
                unfinished.write_bytes(content)
                signature = read_signature(unfinished)
            else:
                signature = self._bundled(content, unfinished)
        made_by = f"TFLiteConverter of TensorFlow {metadata.version('tensorflow')}, weights put in by tfkit"
        if wanted.quantization != "none":
            made_by += f"; int8 by litert-quantizer {metadata.version('litert-quantizer')}"
        if wanted.kind == "litertlm":
            made_by += f"; bundled by litert-lm-builder {metadata.version('litert-lm-builder')}"
        return Artifact(
            path=path, format=wanted.kind, quantization=wanted.quantization, signature=signature, input=self._spec,
            class_names=(), made_by=made_by,
        )  # fmt: skip

    def floats(self) -> bytes:
        """The float32 flatbuffer."""
        if self._floats is None:
            made_of = causal_lm_class(self._model.backbone)(backbone=self._model.backbone, preprocessor=None)
            flatbuffer, weights = trace(made_of, length=self._spec.cache, prefill=self._spec.prefill)
            self._floats = normalized(packed(with_weights(flatbuffer, weights)))
        return self._floats

    def integers(self) -> bytes:
        """The flatbuffer whose weights are int8 per channel; activations are quantised while it runs."""
        if self._integers is None:
            recipes = RecipeManager()
            recipes.load_quantization_recipe(recipe.dynamic_wi8_afp32())
            self._integers = normalized(quantize_with(self.floats(), recipes.get_quantization_recipe()))
        return self._integers

    def _bundled(self, content: bytes, path: Path) -> ModelSignature:
        model = path.with_name(f"{path.name}.tflite")
        try:
            model.write_bytes(content)
            write_bundle(model, path, self._spec)
            return read_signature(model)
        finally:
            model.unlink(missing_ok=True)
