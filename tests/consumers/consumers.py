"""What other people's runtimes answer to the files that tfkit writes."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.consumers.environments import Environment
from tfkit.artifacts import Artifact, ArtifactFormat

CLIENTS = Path(__file__).parent / "clients"
_LIMIT_S = 300


@dataclass(frozen=True)
class Answer:
    """A consumer's answer: scores float32 (n, classes) and the labels it gave them, or why it refused the file."""

    scores: np.ndarray | None
    labels: tuple[str, ...] | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class Consumer:
    """A runtime that is not tfkit's: title and version, environment, client in `clients/`, and what it reads."""

    title: str
    environment: Environment
    client: str
    reads: tuple[ArtifactFormat, ...] = ("tflite",)

    @property
    def decodes(self) -> bool:
        """Whether it makes tensors of pictures and texts itself, by the file's metadata."""
        return self.client == "mediapipe_client.py"

    def ask(self, file: Artifact, inputs: Any, texts: tuple[str, ...] = ()) -> Answer:
        """Run a file on pictures (uint8) or token ids.

        A client that ends without an answer and without a refusal has crashed, which is an error here.
        """
        with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
            given, answered = Path(folder) / "inputs.npz", Path(folder) / "answers.npz"
            if self.decodes:
                tensors = {"texts": np.array(texts)} if texts else {"pixels": inputs}
                tensors |= {} if file.class_names else {"embed": np.ones(1)}
            else:
                tensors = graph_inputs(file, inputs)
            np.savez(given, **tensors)
            done = self._run(file.path, given, answered)
            if done.returncode:
                if "refused: " not in done.stderr:
                    raise AssertionError(f"{self.title} crashed on {file.path.name}: {done.returncode} {done.stderr}")
                return Answer(None, refusal=done.stderr.split("refused: ", 1)[1].splitlines()[0])
            with np.load(answered) as read:
                scores, labels = read["answers"], tuple(read["labels"]) if "labels" in read.files else None
        return Answer(scores.astype(np.float32) if self.decodes else dequantized(scores, file), labels)

    def _run(self, model: Path, given: Path, answered: Path) -> subprocess.CompletedProcess[str]:
        client = CLIENTS / self.client
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
        if not self.environment.npm:
            command = [self.environment.interpreter(), client, model.resolve(), given, answered]
            return _finished(command, environment)
        asked, told = given.with_suffix(".json"), answered.with_suffix(".json")
        with np.load(given) as tensors:
            asked.write_text(json.dumps([_as_json(name, tensors[name]) for name in tensors.files]))
        command = ["node", client, self.environment.folder(), model.resolve(), asked, told]
        done = _finished(command, environment | {"CHROMIUM": str(shutil.which("chromium"))})
        if not done.returncode:
            np.savez(answered, answers=np.array(json.loads(told.read_text())["rows"]))
        return done


def _finished(command: list[Any], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=_LIMIT_S, env=environment)


def _as_json(name: str, values: np.ndarray) -> dict[str, Any]:
    rows = values.reshape(len(values), -1).tolist()
    return {"name": name, "dtype": str(values.dtype), "shape": [1, *values.shape[1:]], "rows": rows}


def graph_inputs(file: Artifact, inputs: Any) -> dict[str, np.ndarray]:
    """The tensors of a file's graph, in its order and by its names."""
    if file.format == "onnx":
        return dict(inputs) if isinstance(inputs, dict) else {file.signature.inputs[0].name: inputs}
    graph = schema.Model.GetRootAs(file.path.read_bytes()).Subgraphs(0)
    fed = {}
    for number in range(graph.InputsLength()):
        tensor = graph.Tensors(graph.Inputs(number))
        name = tensor.Name().decode()
        if isinstance(inputs, dict):
            known = [key for key in inputs if key in name]
            fed[name] = inputs[known[0]] if known else np.zeros_like(next(iter(inputs.values())))
        else:
            fed[name] = inputs.astype(np.float32) if tensor.Type() == schema.TensorType.FLOAT32 else inputs
    return fed


def dequantized(scores: np.ndarray, file: Artifact) -> np.ndarray:
    """Scores in real numbers."""
    (output,) = file.signature.outputs
    scores = scores.astype(np.float32)
    return scores if not output.scale else (scores - output.zero_point) * np.float32(output.scale)


_EDGE = ("numpy>=2",)
TFLITE_RUNTIME = Consumer(
    "tflite-runtime 2.14.0",
    Environment("tflite_runtime", ("tflite-runtime==2.14.0", "numpy<2"), python="3.11"),
    "tflite_runtime_client.py",
)
OPENVINO = Consumer(
    "OpenVINO 2026.4.1",
    Environment("openvino", ("openvino==2026.4.1", *_EDGE)),
    "openvino_client.py",
    ("tflite", "onnx"),
)
ONNXRUNTIME = Consumer(
    "onnxruntime 1.31.0 (`.tflite` by tf2onnx 1.17.0)",
    Environment("onnxruntime", ("tf2onnx==1.17.0", "onnxruntime==1.31.0", "tensorflow==2.21.0")),
    "onnxruntime_client.py",
    ("tflite", "onnx"),
)
TFLITE_MICRO = Consumer(
    "TFLite Micro 20261023",
    Environment("tflite_micro", ("tflite-micro==0.dev20261023182759", *_EDGE)),
    "tflite_micro_client.py",
)
MEDIAPIPE = Consumer(
    "MediaPipe Tasks 1.2.2",
    Environment("mediapipe", ("mediapipe==1.2.2",), libraries=("libEGL.so.1", "libGLESv2.so.2")),
    "mediapipe_client.py",
)
LITERT_JS = Consumer(
    "LiteRT.js 2.5.3 in Chromium",
    Environment(
        "litert_js",
        ("@litertjs/core@2.5.3", "playwright-core@1.65.1"),
        npm=True,
        commands=("node", "npm", "chromium"),
    ),
    "litert_js_client.mjs",
)
CONSUMERS = (TFLITE_RUNTIME, OPENVINO, ONNXRUNTIME, TFLITE_MICRO, MEDIAPIPE, LITERT_JS)
VELA = Environment("vela", ("ethos-u-vela==5.2.0", *_EDGE))
