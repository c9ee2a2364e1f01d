"""Heat maps of a finished run's pictures by every method, judged by deletion and insertion, as Markdown.

    python tests/benchmarks/explanations.py RUN DATA [--pictures 20] [--seed 0]

RUN is the folder of a finished image run with an int8 .tflite file; DATA is the folder of pictures that it was given,
whose test split is drawn from. What is explained and what judges are the int8 file's own answers; Grad-CAM and
integrated gradients ask the Keras model that it was made from. SHAP and LIME are their own libraries.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measured import measured_on

from tfkit.artifacts import ImageSpec, RunDirectory
from tfkit.data import host_pixel_batches, load_image_splits
from tfkit.explaining import faithfulness, grad_cam, heat_map, integrated_gradients
from tfkit.models import load_model_file
from tfkit.runtimes import LiteRTRuntime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    told = json.loads((options.run / "report.json").read_text())["model"]["image"]
    image = ImageSpec(told["height"], told["width"], told["channels"], told["resize"])
    test = load_image_splits(source="image_folder", directory=options.data, seed=options.seed).test
    chosen = test.select(np.random.default_rng(options.seed).permutation(len(test))[: options.pictures])
    pictures = np.concatenate(list(host_pixel_batches(chosen, image, batch_size=1)))
    model = load_model_file(RunDirectory(options.run).float_model)
    scores = LiteRTRuntime(next((options.run / "artifacts").glob("*int8.tflite"))).scores
    print(
        "| method | deletion (low is good) | insertion (high is good) | beats every random order | seconds a picture |"
    )
    print("| --- | --- | --- | --- | --- |")
    methods: dict[str, Callable[[Any, int], Any]] = {
        "Grad-CAM": lambda pixels, answer: grad_cam(model, pixels, answer),
        "integrated gradients": lambda pixels, answer: integrated_gradients(model, pixels, answer),
        "occlusion": lambda pixels, answer: heat_map(scores, pixels, answer, method="occlusion"),
        "SHAP": lambda pixels, answer: heat_map(scores, pixels, answer, method="shap"),
        "LIME": lambda pixels, answer: heat_map(scores, pixels, answer, method="lime", seed=options.seed),
    }
    for name, explained in methods.items():
        judged, seconds = [], []
        for pixels in pictures:
            answer = int(scores(pixels[None]).argmax())
            began = time.perf_counter()
            heat = explained(pixels, answer)
            seconds.append(time.perf_counter() - began)
            judged.append(faithfulness(scores, pixels, heat, answer, seed=options.seed))
        told = f"{statistics.mean(one.deletion for one in judged):.3f} | "
        told += f"{statistics.mean(one.insertion for one in judged):.3f} | "
        told += f"{sum(one.means_something for one in judged)} of {len(judged)} | {statistics.median(seconds):.2f}"
        print(f"| {name} | {told} |", flush=True)
    low = statistics.mean(statistics.mean(one.random_deletion) for one in judged)
    high = statistics.mean(statistics.mean(one.random_insertion) for one in judged)
    print(f"| random orders | {low:.3f} | {high:.3f} | | |")
    print(f"\n{len(pictures)} pictures of the test split, seed {options.seed}. {measured_on()}")


if __name__ == "__main__":
    main()
