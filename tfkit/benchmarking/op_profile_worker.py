"""Times every operator of a `.tflite` file through LiteRT's C interface; run by `op_profile`, in a process of its own.

The Python interpreter of ai-edge-litert has no profiler. Its C library has one, switched on by an option
(https://github.com/google-ai-edge/LiteRT/blob/main/litert/c/litert_profiler.h), and shows what XNNPACK's delegate
runs inside as well.
"""

import ctypes
import json
import struct
import sys
import time
from importlib import util
from pathlib import Path
from typing import Any

_CPU = 1
_WARMUP_RUNS = 10
_LOCKED_FOR_WRITING = 1  # LiteRtTensorBufferLockMode
_MAX_RANKED_TYPE_BYTES = 256  # LiteRtRankedTensorType has 72; it is handed on, and its first number is the type
_INT32 = 2  # LiteRtElementType
_MAX_EVENT_BYTES = 256
_UNWRITTEN = 0xA5
_OPERATOR, _DELEGATE_OPERATOR, _DELEGATE_PROFILED_OPERATOR = 2, 4, 8  # tflite::Profiler::EventType


class _LiteRT:
    """LiteRT's C functions; a status other than 0 is an error."""

    def __init__(self) -> None:
        package = util.find_spec("ai_edge_litert")
        folder = Path(next(iter(package.submodule_search_locations))) if package else Path()  # type: ignore[arg-type]
        self._library = ctypes.CDLL(str(folder / "libLiteRt.so"))

    def call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            raise RuntimeError(f"{function} answered status {status}")

    def make(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self.call(function, *arguments, ctypes.byref(made))
        return made


class _ProfiledModel:
    def __init__(self, path: str, threads: int) -> None:
        self._litert = litert = _LiteRT()
        self._texts: list[Any] = []  # LiteRT keeps pointers to them
        self._environment = litert.make("LiteRtCreateEnvironment", 0, None)
        model = litert.make("LiteRtCreateModelFromFile", self._environment, path.encode())
        options = litert.make("LiteRtCreateOptions")
        litert.call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        self._add_option(options, "runtime_options_string", "enable_profiling = true\n")
        self._add_option(options, "xnnpack", f"num_threads = {threads}\n")
        self._compiled = litert.make("LiteRtCreateCompiledModel", self._environment, model, options)
        self._profiler = litert.make("LiteRtCompiledModelGetProfiler", self._compiled)
        signature = litert.make("LiteRtGetModelSignature", model, ctypes.c_size_t(0))
        self._inputs = self._buffers(signature, "Input")
        self._outputs = self._buffers(signature, "Output")

    def run(self) -> float:
        """Run once; gives milliseconds."""
        started = time.perf_counter()
        self._litert.call(
            "LiteRtRunCompiledModel",
            self._compiled,
            ctypes.c_size_t(0),
            ctypes.c_size_t(len(self._inputs)),
            self._inputs,
            ctypes.c_size_t(len(self._outputs)),
            self._outputs,
        )
        return (time.perf_counter() - started) * 1000

    def profiled_run(self) -> tuple[float, list[tuple[str, int, int, bool]]]:
        """Run once; gives milliseconds, and for each operator: kernel, microseconds, index, whether in the delegate."""
        for function in ("LiteRtResetProfiler", "LiteRtStartProfiler"):
            self._litert.call(function, self._profiler)
        milliseconds = self.run()
        self._litert.call("LiteRtStopProfiler", self._profiler)
        number = ctypes.c_int()
        self._litert.call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(number))
        table = (ctypes.c_ubyte * (number.value * _MAX_EVENT_BYTES))()
        ctypes.memset(table, _UNWRITTEN, len(table))
        self._litert.call("LiteRtGetProfilerEvents", self._profiler, number, table)
        return milliseconds, _read_events(bytes(table), number.value)

    def _add_option(self, options: ctypes.c_void_p, name: str, text: str) -> None:
        content = ctypes.create_string_buffer(text.encode())
        keep = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
        self._texts += [content, keep]
        self._litert.call(
            "LiteRtAddOpaqueOptions",
            options,
            self._litert.make("LiteRtCreateOpaqueOptions", name.encode(), content, keep),
        )

    def _buffers(self, signature: ctypes.c_void_p, side: str) -> Any:
        number = ctypes.c_size_t()
        self._litert.call(f"LiteRtGetNumSignature{side}s", signature, ctypes.byref(number))
        made = []
        for place in range(number.value):
            at = ctypes.c_size_t(place)
            tensor = self._litert.make(f"LiteRtGetSignature{side}TensorByIndex", signature, at)
            kind = (ctypes.c_byte * _MAX_RANKED_TYPE_BYTES)()
            self._litert.call("LiteRtGetRankedTensorType", tensor, kind)
            needs = self._litert.make(
                f"LiteRtGetCompiledModel{side}BufferRequirements", self._compiled, ctypes.c_size_t(0), at
            )
            buffer = self._litert.make(
                "LiteRtCreateManagedTensorBufferFromRequirements", self._environment, kind, needs
            )
            self._fill(buffer, ones=kind[0] == _INT32)
            made.append(buffer.value)
        return (ctypes.c_void_p * len(made))(*made)

    def _fill(self, buffer: ctypes.c_void_p, *, ones: bool) -> None:
        """Ids and masks with ones, the rest with zeros.

        What fresh memory holds is not always a token that an embedding has, and decides how long a kernel takes; some
        files divide by a mask's sum.
        """
        size, memory = ctypes.c_size_t(), ctypes.c_void_p()
        self._litert.call("LiteRtGetTensorBufferPackedSize", buffer, ctypes.byref(size))
        self._litert.call("LiteRtLockTensorBuffer", buffer, ctypes.byref(memory), _LOCKED_FOR_WRITING)
        content = struct.pack("=i", 1) * (size.value // 4) if ones else bytes(size.value)
        ctypes.memmove(memory, content, len(content))
        self._litert.call("LiteRtUnlockTensorBuffer", buffer)


def _read_events(table: bytes, number: int) -> list[tuple[str, int, int, bool]]:
    """Read an array of `ProfiledEventData`: name, type, start, microseconds, memory figures, two indices, source.

    The memory figures differ between builds of LiteRT, so an event's size is found from how much was written.
    """
    size = -(-len(table.rstrip(bytes([_UNWRITTEN]))) // number)
    size = -(-size // 8) * 8
    events = []
    for start in range(0, number * size, size):
        name, kind, _, microseconds = struct.unpack_from("<QI4xQQ", table, start)
        (index,) = struct.unpack_from("<Q", table, start + size - 24)
        text = (ctypes.string_at(name) if name else b"").decode(errors="replace")
        in_delegate = kind in (_DELEGATE_OPERATOR, _DELEGATE_PROFILED_OPERATOR)
        # A delegate's own call as an operator of the graph holds the time of all that it runs.
        if in_delegate or (kind == _OPERATOR and "delegate" not in text.lower()):
            events.append((text, microseconds, index, in_delegate))
    return events


def main() -> None:
    """Profile the file named by the first argument, with `threads`, for `runs`; writes JSON to stdout's last line."""
    path, threads, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = _ProfiledModel(path, threads)
    for _ in range(_WARMUP_RUNS):
        model.run()
    profiled, plain = [], []
    for _ in range(runs):
        # In turn, so that what else the machine does slows both alike.
        profiled.append(model.profiled_run())
        plain.append(model.run())
    answer = {
        "events": [[name, index, in_delegate] for name, _, index, in_delegate in profiled[0][1]],
        "microseconds": [[event[1] for event in events] for _, events in profiled],
        "profiled_ms": [milliseconds for milliseconds, _ in profiled],
        "plain_ms": plain,
    }
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


if __name__ == "__main__":
    main()
