"""LiteRT's raw answers to a bundle's golden pixels, and the machine: BUNDLE ANSWERS.npz."""

import json
import platform
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

bundle, answers = map(Path, sys.argv[1:])
about = json.loads((bundle / "model.json").read_text())
(given,), (output,) = about["inputs"], about["outputs"]
pixels = np.fromfile(bundle / "golden/pixels.bin", "u1").reshape(-1, *given["shape"])
runner = Interpreter(str(bundle / about["file"]), num_threads=1).get_signature_runner()
rows = [runner(**{given["name"]: one.astype(given["dtype"])})[output["name"]] for one in pixels]
np.savez(answers, answers=np.concatenate(rows), machine=np.array(platform.machine()))
