"""Answers of TensorFlow Lite Micro, and the smallest arena it runs in: MODEL INPUTS.npy; prints JSON.

Run in a process of its own: a file that its kernels do not take may end the process.
"""

import json
import sys

import numpy as np

_LARGEST_ARENA, _STEP = 64 << 20, 64


def main() -> int:
    """Print `arena_bytes` and `answers`, a row for each input; 1 and the reason when it refuses the file."""
    from tflite_micro.python.tflite_micro import runtime

    path, inputs = sys.argv[1], np.load(sys.argv[2])

    def opened(arena: int) -> "runtime.Interpreter":
        return runtime.Interpreter.from_file(path, arena_size=arena)

    try:
        interpreter = opened(_LARGEST_ARENA)
        rows = []
        for row in inputs:
            interpreter.set_input(row[None], 0)
            interpreter.invoke()
            rows.append(interpreter.get_output(0).reshape(-1).tolist())
    except (RuntimeError, ValueError) as fault:
        sys.stderr.write(f"refused: {fault}\n")
        return 1
    least, enough = 0, _LARGEST_ARENA  # it does not run in the first, and does in the second
    while enough - least > _STEP:
        middle = (least + enough) // 2
        try:
            opened(middle)
            enough = middle
        except (RuntimeError, ValueError):
            least = middle
    sys.stdout.write(f"\n{json.dumps({'arena_bytes': enough, 'answers': rows})}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
