"""Answers of tflite-runtime, the last standalone TensorFlow Lite: MODEL INPUTS.npz ANSWERS.npz."""

import sys

import numpy as np
from tflite_runtime.interpreter import Interpreter

model, inputs, answers = sys.argv[1:]
given = np.load(inputs)
try:
    interpreter = Interpreter(model_path=model)
    interpreter.allocate_tensors()
except (RuntimeError, ValueError) as fault:
    sys.exit("refused: " + " ".join(str(fault).split()))
details = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
rows = []
for row in range(len(given[given.files[0]])):
    for name in given.files:
        interpreter.set_tensor(details[name], given[name][row : row + 1])
    interpreter.invoke()
    rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).reshape(-1))
np.savez(answers, answers=np.stack(rows))
