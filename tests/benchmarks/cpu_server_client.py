"""Quantise with NNCF and onnxruntime, then time every file in turns: FOLDER [--rounds N]; started by cpu_servers.py.

Runs in an environment without TensorFlow and tfkit. FOLDER holds files.json, test.npz and shown.npz; times.json
(seconds of one example in each round, by batch) and answers.npz are written there.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime

_SECONDS = 0.25  # of each file in each round and batch


class OnnxRuntime:
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, feed):
        return self.session.run(None, feed)[0]


class OpenVino:
    def __init__(self, path):
        import openvino

        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        model = path if not isinstance(path, (str, Path)) else core.read_model(path)
        self.names = [entry.get_any_name() for entry in model.inputs]
        self.request = core.compile_model(model, "CPU", settings).create_infer_request()

    def __call__(self, feed):
        return next(iter(self.request.infer({name: feed[name] for name in self.names}).values()))


class LiteRT:
    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_path=str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        self.inputs = self.interpreter.get_input_details()
        self.output = self.interpreter.get_output_details()[0]

    def __call__(self, feed):
        rows = []
        for row in range(len(next(iter(feed.values())))):
            for tensor in self.inputs:
                name = next((one for one in feed if f"_{one}:" in tensor["name"]), next(iter(feed)))
                self.interpreter.set_tensor(tensor["index"], feed[name][row : row + 1].astype(tensor["dtype"]))
            self.interpreter.invoke()
            rows.append(self.interpreter.get_tensor(self.output["index"]))
        return np.concatenate(rows)


def quantised_by_onnxruntime(path, shown, folder):
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quant_pre_process, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rows = iter(range(len(next(iter(shown.values())))))

        def get_next(self):
            row = next(self.rows, None)
            return None if row is None else {name: values[row : row + 1] for name, values in shown.items()}

    ready, made = folder / "ready.onnx", folder / "ort_int8.onnx"
    quant_pre_process(path, ready)
    quantize_static(
        ready, made, Reader(), per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8
    )
    return made


def quantised_by_nncf(path, shown):
    import nncf
    import openvino

    count = len(next(iter(shown.values())))
    rows = [{name: values[row : row + 1] for name, values in shown.items()} for row in range(count)]
    options = {"model_type": nncf.ModelType.TRANSFORMER} if len(shown) > 1 else {}
    model = openvino.Core().read_model(path)
    return nncf.quantize(model, nncf.Dataset(rows), subset_size=count, **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    folder = options.folder
    files = json.loads((folder / "files.json").read_text())
    test, shown = (dict(np.load(folder / f"{name}.npz")) for name in ("test", "shown"))
    runs, told = {}, {}
    for name, file in files.items():
        try:
            kind = LiteRT if file.endswith(".tflite") else OpenVino if "OpenVINO" in name else OnnxRuntime
            runs[name] = kind(file)
        except Exception as fault:
            told[name] = f"refused: {str(fault).strip().splitlines()[0][:120]}"
    floats = files["onnxruntime float32"]
    for name, make in (
        ("onnxruntime quantize_static", lambda: OnnxRuntime(quantised_by_onnxruntime(floats, shown, folder))),
        ("NNCF, OpenVINO", lambda: OpenVino(quantised_by_nncf(floats, shown))),
    ):
        try:
            runs[name] = make()
        except Exception as fault:
            told[name] = f"failed: {str(fault).strip().splitlines()[0][:120]}"
    answers = {name: run(test) for name, run in runs.items()}
    times = {name: {"1": [], "32": []} for name in runs}
    feeds = {batch: {name: values[:batch] for name, values in test.items()} for batch in (1, 32)}
    for batch, feed in feeds.items():
        for run in runs.values():
            run(feed)
        for _ in range(options.rounds):
            for name, run in runs.items():
                done, began = 0, time.perf_counter()
                while (taken := time.perf_counter() - began) < _SECONDS or done < 2:
                    run(feed)
                    done += 1
                times[name][str(batch)].append(taken / done / batch)
    np.savez(folder / "answers.npz", **answers)
    (folder / "times.json").write_text(json.dumps(times | told))


if __name__ == "__main__":
    main()
