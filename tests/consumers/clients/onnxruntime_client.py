"""Answers of onnxruntime on an ONNX file, or on what tf2onnx makes of a `.tflite` one: MODEL INPUTS.npz ANSWERS.npz."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

APART = 0.1  # of a score; steps of 1/256 may turn another way
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
found = np.stack(rows)
if isinstance(session.get_inputs()[0].shape[0], str):  # any batch size: each answer is the same in one batch of all
    together = session.run(None, {name: given[name] for name in given.files if name in wanted})[0]
    if not (apart := float(np.abs(together.reshape(len(rows), -1) - found).max())) <= APART:  # no number is apart too
        sys.exit(f"answers change with the batch, by {apart:.3f}")
np.savez(answers, answers=found)
