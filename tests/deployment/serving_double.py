"""Stands for TensorFlow Serving in tests: its REST paths and its gRPC service, answered by the bundle's own SavedModel.

python serving_double.py BUNDLE     it prints the ports of REST and gRPC, then serves until it is ended
"""

import base64
import json
import sys
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfkit.deployment import answering, read_bundle

BUNDLE = Path(sys.argv[1])
SAID = read_bundle(BUNDLE)
assert SAID is not None
VERSION = max(map(int, SAID.versions))
ANSWER = answering(BUNDLE / "models" / SAID.model / str(VERSION))
PATHS = {f"/v1/models/{SAID.model}:predict"} | {
    f"/v1/models/{SAID.model}/labels/{label}:predict" for label in SAID.labels
}
COUNTS = {"OK": 0, "INVALID_ARGUMENT": 0}


class Rest(BaseHTTPRequestHandler):
    """What https://www.tensorflow.org/tfx/serving/api_rest says, in rows."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/monitoring/prometheus/metrics":
            lines = [
                f':tensorflow:serving:request_count{{model_name="{SAID.model}",status="{status}"}} {count}'
                for status, count in COUNTS.items()
            ]
            self._send(200, "\n".join(["# TYPE :tensorflow:serving:request_count counter", *lines, ""]))
        elif self.path == f"/v1/models/{SAID.model}":
            state = {"version": str(VERSION), "state": "AVAILABLE", "status": {"error_code": "OK"}}
            self._send(200, json.dumps({"model_version_status": [state]}))
        else:
            self._send(404, json.dumps({"error": f"no {self.path}"}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path not in PATHS:
            return self._send(404, json.dumps({"error": f"no {self.path}"}))
        try:
            said = json.loads(body)
            if said.get("signature_name", "serving_default") != "serving_default":
                raise ValueError(f"no signature {said['signature_name']}")
            sent = [base64.b64decode(one["image_bytes"]["b64"]) for one in said["instances"]]
            rows = [one.answer for one in ANSWER(sent)]
        except Exception as fault:
            COUNTS["INVALID_ARGUMENT"] += 1
            return self._send(400, json.dumps({"error": str(fault)[:200]}))
        COUNTS["OK"] += 1
        return self._send(200, json.dumps({"predictions": rows}))

    def _send(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: the test reads the ports alone."""


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    """PredictionService.Predict."""

    def Predict(self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext) -> object:  # noqa: N802
        if request.model_spec.name != SAID.model:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_spec.name}")
        rows = ANSWER(list(tf.make_ndarray(request.inputs["image_bytes"])))
        answer = predict_pb2.PredictResponse()
        for name in rows[0].answer:
            answer.outputs[name].CopyFrom(tf.make_tensor_proto([row.answer[name] for row in rows]))
        return answer


if __name__ == "__main__":
    calls = grpc.server(futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Grpc(), calls)
    port = calls.add_insecure_port("127.0.0.1:0")
    calls.start()
    ThreadingHTTPServer.request_queue_size = 128  # clients that come at once; five else
    rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    sys.stdout.write(f"{rest.server_address[1]} {port}\n")
    sys.stdout.flush()
    rest.serve_forever()
