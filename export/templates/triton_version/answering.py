"""What the model answers: decoded requests through the file, and its scores as labels. Nothing of Triton is here.

python answering.py FILE...     the answers about some pictures, or texts in files, as JSON
"""

import json
import pathlib
import sys

import numpy as np
from decoding import Decoder, Refused


class Model(Decoder):
    """The file of a folder that holds described.json.

    Threads are those of one run: many instances with a thread each answer more than one instance with many.
    """

    def __init__(self, folder, threads=1):
        super().__init__(folder)
        path = pathlib.Path(folder) / self.said["file"]
        self._run = (_onnx if path.suffix == ".onnx" else _litert)(path, self.said, threads)

    def answers_to(self, tensors):
        """The outputs by name, a row for each example."""
        return self.answers(self._run(tensors))


def _litert(path, said, threads):
    """A `.tflite` file takes one example at a time."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    names = [tensor["name"] for tensor in said["inputs"]]
    if said["kind"] == "text":
        taken = interpreter.get_signature_runner().get_input_details()
        for name in set(taken) - set(names):  # the third input that MediaPipe asks for, which no operator reads
            interpreter.set_tensor(taken[name]["index"], np.zeros(taken[name]["shape"], taken[name]["dtype"]))
        places = {name: taken[name]["index"] for name in names}
    else:
        places = {names[0]: interpreter.get_input_details()[0]["index"]}
    output = interpreter.get_output_details()[0]["index"]
    scale, zero_point = said["output"]["scale"], said["output"]["zero_point"]

    def run(tensors):
        rows = []
        for row in range(len(next(iter(tensors.values())))):
            for name, place in places.items():
                interpreter.set_tensor(place, np.ascontiguousarray(tensors[name][row : row + 1]))
            interpreter.invoke()
            values = interpreter.get_tensor(output).reshape(-1).astype(np.float32)
            rows.append(values if scale is None else (values - zero_point) * np.float32(scale))
        return np.stack(rows)

    return run


def _onnx(path, said, threads):
    """An ONNX file takes as many examples at once as came together."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    names = {said["inputs"][0]["name"]: session.get_inputs()[0].name} if said["kind"] == "image" else {}

    def run(tensors):
        feed = {names.get(name, name): values for name, values in tensors.items()}
        return np.asarray(session.run(None, feed)[0], np.float32)

    return run


def main():
    model = Model(pathlib.Path(__file__).parent)
    sent = np.array([pathlib.Path(name).read_bytes() for name in sys.argv[1:]], dtype=object)
    try:
        outputs = model.answers_to(model.tensors({model.sent: sent[:, None]}))
    except Refused as fault:
        sys.exit(f"refused: {fault}")
    rows = [{name: values[row].tolist() for name, values in outputs.items()} for row in range(len(sent))]
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
