"""A SavedModel through TensorFlow's C interface, as servers load it: this process never imports Python's TensorFlow.

    python c_server.py FOLDER < ASKED

ASKED is a JSON object: the libraries' folder, libraries with further operators (TensorFlow Serving has those of
tensorflow-text inside), tensors by name, and what to send in base64. It prints the answers, and
the seconds of each request.
"""

import base64
import ctypes
import json
import sys
import time
from pathlib import Path

STRING, FLOAT, STRING_BYTES = 7, 1, 24  # of TF_DataType; the size of a TF_TString
ASKED = json.load(sys.stdin)
FRAMEWORK = ctypes.CDLL(str(Path(ASKED["libraries"]) / "libtensorflow_framework.so.2"), ctypes.RTLD_GLOBAL)
TENSORFLOW = ctypes.CDLL(str(Path(ASKED["libraries"]) / "libtensorflow_cc.so.2"), ctypes.RTLD_GLOBAL)


class Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def call(name: str, *given: object, gives: object = ctypes.c_void_p) -> object:
    function = getattr(TENSORFLOW, name)
    function.restype = gives
    return function(*given)


STATUS = ctypes.c_void_p(call("TF_NewStatus"))


def refuse_fault() -> None:
    if call("TF_GetCode", STATUS, gives=ctypes.c_int):
        sys.exit(f"error: {call('TF_Message', STATUS, gives=ctypes.c_char_p).decode()}")


def output(graph: ctypes.c_void_p, name: str) -> Output:
    operation, _, index = name.partition(":")
    return Output(call("TF_GraphOperationByName", graph, operation.encode()), int(index))


def strings(sent: list[bytes]) -> ctypes.c_void_p:
    size = STRING_BYTES * len(sent)
    shape = (ctypes.c_int64 * 1)(len(sent))
    tensor = ctypes.c_void_p(call("TF_AllocateTensor", STRING, shape, 1, ctypes.c_size_t(size)))
    data = call("TF_TensorData", tensor)
    for number, one in enumerate(sent):
        place = ctypes.c_void_p(data + number * STRING_BYTES)
        call("TF_StringInit", place, gives=None)
        call("TF_StringCopy", place, one, ctypes.c_size_t(len(one)), gives=None)
    return tensor


def values(tensor: ctypes.c_void_p) -> list[object]:
    rank = call("TF_NumDims", tensor, gives=ctypes.c_int)
    shape = [call("TF_Dim", tensor, axis, gives=ctypes.c_int64) for axis in range(rank)]
    data, width = call("TF_TensorData", tensor), shape[1] if rank > 1 else 1
    if call("TF_TensorType", tensor, gives=ctypes.c_int) == FLOAT:
        numbers = (ctypes.c_float * (shape[0] * width)).from_address(data)
        return [list(numbers[row * width : (row + 1) * width]) for row in range(shape[0])]
    places = [ctypes.c_void_p(data + number * STRING_BYTES) for number in range(shape[0])]
    sizes = [call("TF_StringGetSize", place, gives=ctypes.c_size_t) for place in places]
    starts = [call("TF_StringGetDataPointer", place) for place in places]
    return [ctypes.string_at(start, size).decode() for start, size in zip(starts, sizes, strict=True)]


def main() -> None:
    for library in ASKED["operators"]:
        call("TF_LoadLibrary", library.encode(), STATUS)
        refuse_fault()
    graph = ctypes.c_void_p(call("TF_NewGraph"))
    options = ctypes.c_void_p(call("TF_NewSessionOptions"))
    tags = (ctypes.c_char_p * 1)(b"serve")
    folder = sys.argv[1].encode()
    loaded = call("TF_LoadSessionFromSavedModel", options, None, folder, tags, 1, graph, None, STATUS)
    refuse_fault()
    session, taken = ctypes.c_void_p(loaded), (Output * 1)(output(graph, ASKED["input"]))
    names = list(ASKED["outputs"])
    wanted = (Output * len(names))(*(output(graph, ASKED["outputs"][name]) for name in names))
    answers, seconds = [], []
    for batch in ASKED["batches"]:
        given = (ctypes.c_void_p * 1)(strings([base64.b64decode(one) for one in batch]))
        found = (ctypes.c_void_p * len(names))()
        began = time.perf_counter()
        outputs = (wanted, found, len(names))
        call("TF_SessionRun", session, None, taken, given, 1, *outputs, None, 0, None, STATUS, gives=None)
        refuse_fault()
        seconds.append(time.perf_counter() - began)
        answers.append({name: values(ctypes.c_void_p(tensor)) for name, tensor in zip(names, found, strict=True)})
    assert "tensorflow" not in sys.modules
    print(json.dumps({"answers": answers, "seconds": seconds}))  # noqa: T201 - its answer


main()
