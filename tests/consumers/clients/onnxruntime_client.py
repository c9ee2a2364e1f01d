"""Answers of onnxruntime on an ONNX file, or on what tf2onnx makes of a `.tflite` one: MODEL INPUTS.npz ANSWERS.npz."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

model, inputs, answers = sys.argv[1:]
given = np.load(inputs)
with tempfile.TemporaryDirectory() as folder:
    converted = model
    if not model.endswith(".onnx"):
        converted = str(Path(folder) / "model.onnx")
        command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", model, "--output", converted, "--opset", "17"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"refused: tf2onnx: {done.stderr.strip().splitlines()[-1]}")
    try:
        session = onnxruntime.InferenceSession(converted, providers=["CPUExecutionProvider"])
    except Exception as fault:  # onnxruntime raises classes of its own, with no common base but this one
        sys.exit(f"refused: {fault}")
wanted = {tensor.name for tensor in session.get_inputs()}
rows = []
for row in range(len(given[given.files[0]])):
    feed = {name: given[name][row : row + 1] for name in given.files if name in wanted}
    rows.append(session.run(None, feed)[0].reshape(-1))
np.savez(answers, answers=np.stack(rows))
