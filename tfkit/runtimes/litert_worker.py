"""The process that runs a `.tflite` file for `IsolatedLiteRTRuntime`.

`python -m tfkit.runtimes.litert_worker FILE NAME --threads N` reads requests from stdin and answers on stdout until
stdin ends; see `model_process` for the format. NAME is what messages call the file.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.runtimes.litert_runtime import LiteRTRuntime
from tfkit.runtimes.model_process import DAMAGED, receive_arrays, send_arrays, serve_on_pipes
from tfkit.runtimes.pixel_encoding import scaling_as_json, scaling_of_json
from tfkit.runtimes.protocol import ModelInputs


def serve(path: Path, *, options: argparse.Namespace, requests: BinaryIO, answers: BinaryIO) -> None:
    """Open the file, say what is measured, then answer requests until they end.

    A request is `scores` or `prepare`, JSON with the inputs' names (null for pixels), and the inputs; `run`, whose
    answer is the seconds that the prepared run took; or `scaling` and JSON, what is to be given for raw pixels.

    Args:
        path: The file.
        options: `threads`, `scaling` and `name`.
        requests: Where requests come from.
        answers: Where answers go.
    """

    def refuse(fault: Exception) -> None:
        if isinstance(fault, MemoryError):
            fault = ModelError(f"LiteRT cannot run '{path}': it asks for more memory than there is", hint=DAMAGED)
        elif not isinstance(fault, ModelError):
            fault = ModelError(f"LiteRT cannot run '{path}': {fault or type(fault).__name__}", hint=DAMAGED)
        told = str(fault).replace(f"'{path}'", f"'{options.name}'")
        send_arrays(answers, np.array("error"), np.array(told), np.array(fault.hint))

    try:
        runtime = LiteRTRuntime(path, threads=options.threads, scaling=scaling_of_json(options.scaling))
    except Exception as fault:  # whatever a file of others does is the answer
        refuse(fault)
        return
    said = {"measures": runtime.measures, "scaling": scaling_as_json(runtime.scaling)}
    send_arrays(answers, np.array("ok"), np.array(json.dumps(said)))
    prepared: Callable[[], object] = runtime.close
    while True:
        try:
            request, *given = receive_arrays(requests)
        except EOFError:
            return
        try:
            answer: float | NDArray[np.float32] = 0.0
            if str(request) == "run":
                answer = _seconds(prepared)
            elif str(request) == "scaling":
                runtime.scaling = scaling_of_json(str(given[0]))
            elif str(request) == "prepare":
                prepared = runtime.prepare(_inputs(given))
            else:
                answer = runtime.scores(_inputs(given))
        except Exception as fault:
            refuse(fault)
        else:
            send_arrays(answers, np.array("ok"), np.asarray(answer))


def _inputs(given: list[NDArray[np.generic]]) -> ModelInputs:
    names = json.loads(str(given[0]))
    inputs = given[1] if names is None else dict(zip(names, given[1:], strict=True))
    return cast("ModelInputs", inputs)


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Serve on this process's own pipes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("name")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scaling")
    options = parser.parse_args()
    serve_on_pipes(lambda requests, answers: serve(options.path, options=options, requests=requests, answers=answers))


if __name__ == "__main__":
    main()
