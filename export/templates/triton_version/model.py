"""Triton's Python backend for the file in this folder: one instance, its requests as they were brought together."""

import pathlib

import numpy as np
import triton_python_backend_utils as pb_utils
from answering import Model
from decoding import Refused


class TritonPythonModel:
    """What Triton calls."""

    def initialize(self, args):
        """Open the file; Triton then runs the warm-up requests of config.pbtxt before it says that it is ready."""
        if not np.__version__.startswith("1."):
            pb_utils.Logger.log_warn("Triton 2.51 misreads arrays of numpy 2: install requirements.txt")
        self._model = Model(pathlib.Path(args["model_repository"]) / args["model_version"])

    def execute(self, requests):
        """One response for each request; what is wrong with one is told to its client alone."""
        ready, responses = [], [None] * len(requests)
        for place, request in enumerate(requests):
            try:
                given = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
                ready.append((place, self._model.tensors(given)))
            except Refused as fault:
                responses[place] = _refusal(str(fault))
            except Exception as fault:  # this client's bytes shall not fail the others' requests
                responses[place] = _failure(fault)
        if ready:
            self._answer(ready, responses)
        return responses

    def _answer(self, ready, responses):
        names, start = list(ready[0][1]), 0
        try:
            together = {name: np.concatenate([tensors[name] for _, tensors in ready]) for name in names}
            outputs = self._model.answers_to(together)
        except Exception as fault:
            for place, _ in ready:
                responses[place] = _failure(fault)
            return
        for place, tensors in ready:
            rows = slice(start, start + len(tensors[names[0]]))
            start = rows.stop
            responses[place] = pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, np.ascontiguousarray(values[rows])) for name, values in outputs.items()]
            )


def _refusal(reason):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(reason, pb_utils.TritonError.INVALID_ARG))


def _failure(fault):
    # Never INTERNAL: that is what Triton says of bodies that it cannot parse, which nginx calls the client's fault.
    pb_utils.Logger.log_error(f"the model failed: {type(fault).__name__}: {fault}")
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError("the model failed; the server's log says why", pb_utils.TritonError.UNAVAILABLE)
    )
