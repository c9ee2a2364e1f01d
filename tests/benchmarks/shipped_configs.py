"""Every shipped config, run as its header says, on real data where it names some: what it reached, as Markdown.

    python tests/benchmarks/shipped_configs.py DATA --minilm MINILM --output RESULTS.json [--only hymenoptera intents]
        [--keep FOLDER]
    python tests/benchmarks/shipped_configs.py --table RESULTS.json

DATA holds hymenoptera/, oxford12/, camvid_small/, cifar10/, banking77/, sst2/, financial_phrasebank/ and weights/;
MINILM is a folder or address of all-MiniLM-L6-v2. The configs that are to be copied get tables made of the same data:
labels of photos from their folders, bees as the number 1 and ants as 0, the words of an intent as labels of a text, and
of 1,500 sentences on companies whether they are bad (-1), neutral or good (1) news. Configs that need a network (beans,
tf_flowers) are named and left out. Finished runs are kept in RESULTS.json, and a second call goes on behind them.
"""

import argparse
import contextlib
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measured import measured_on

HYMENOPTERA = "data.directory={data}/hymenoptera"
FLOWERS = "data.directory={data}/oxford12"
WEIGHTS = "model.weights={data}/weights/mobilenet_v2_1.0_224_deq.weights.h5"
SMALL_WEIGHTS = "model.weights={data}/weights/mobilenet_v2_0.35_224_no_top.weights.h5"
CIFAR = ("data.train={data}/cifar10/train10k.npz", "data.test={data}/cifar10/test2k.npz")
BANKING = "data.directory={data}/banking77"
BACKBONE = "model.backbone={minilm}"
NEEDS_NETWORK = ("beans", "tf_flowers")

COMMANDS: dict[str, tuple[str, ...]] = {  # in this order: digits and digits_continue stand on digits_base
    "digits_base": (),
    "digits": (),
    "digits_continue": (),
    "digits_tune": (),
    "hymenoptera": (HYMENOPTERA, WEIGHTS),
    "hymenoptera_int8": (HYMENOPTERA, WEIGHTS),
    "oxford_flowers": (FLOWERS, WEIGHTS),
    "oxford_flowers_small": (FLOWERS, WEIGHTS),
    "cifar10_resnet8": CIFAR,
    "cifar10_resnet8_int8": CIFAR,
    "image_folder": (HYMENOPTERA, WEIGHTS),
    "image_labels": ("data.train={made}/labels.csv", WEIGHTS),
    "image_numbers": ("data.train={made}/numbers.csv", "task.label_columns=[bees]", WEIGHTS),
    "segment_shapes": (),
    "segment_folder": ("data.directory={data}/camvid_small", SMALL_WEIGHTS),
    "detect_shapes": (),
    "detect_folder": ("data.directory={data}/raccoon", SMALL_WEIGHTS),
    "digits_found": (),
    "chest_xray": ("data.directory={data}/chest_xray", WEIGHTS),
    "intents_small": (),
    "faq_small": (),
    "replies_small": (),
    "text_table": ("data.train={made}/texts.csv", BACKBONE),
    "text_labels": ("data.train={made}/text_labels.csv", BACKBONE),
    "text_numbers": ("data.train={made}/text_numbers.csv", "task.label_columns=[news]", BACKBONE),
    "finance_sentiment": ("data.train={data}/financial_phrasebank/Sentences_AllAgree.txt", BACKBONE),
    "embeddings": (BANKING, BACKBONE),
    "sentiment": ("data.directory={data}/sst2", BACKBONE),
    "intents_mobile": (BANKING, BACKBONE),
    "intents": (BANKING, BACKBONE),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--minilm")
    parser.add_argument("--only", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--keep", type=Path, help="folder where the runs stay; thrown away when left out")
    parser.add_argument("--table", type=Path, help="only print the table of these results")
    options = parser.parse_args()
    if options.table is None:
        with contextlib.ExitStack() as stack:
            folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.mkdir(parents=True, exist_ok=True)
            make_tables(options.data.resolve(), folder)
            for config in (name for name in COMMANDS if name in options.only):
                run_config(config, options, folder)
    print_table(json.loads((options.table or options.output).read_text()))


def run_config(config: str, options: argparse.Namespace, folder: Path) -> None:
    """Run a config by the command line, and keep its figures beside those of earlier ones."""
    runs = json.loads(options.output.read_text()) if options.output.exists() else []
    if any(run["config"] == config for run in runs):
        return
    places = {"data": options.data.resolve(), "minilm": options.minilm, "made": folder.resolve()}
    words = [change.format(**places) for change in COMMANDS[config]]
    began = time.perf_counter()
    command = [sys.executable, "-m", "tfkit.cli.main", "run", config, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 3):  # 3: a file was refused, which the table shows
        print(f"{config}: status {done.returncode}\n{done.stdout}\n{done.stderr}", file=sys.stderr)
        runs.append({"config": config, "status": done.returncode, "seconds": seconds})
    else:
        report = json.loads((folder / "runs" / config / "report.json").read_text())
        runs.append({"config": config, "status": done.returncode, "seconds": seconds, **figures_of(report)})
    options.output.write_text(json.dumps(runs, indent=1))
    print(f"{config}: status {done.returncode}, {seconds:.0f} s", file=sys.stderr, flush=True)


def figures_of(report: dict[str, Any]) -> dict[str, Any]:
    files = ("file", "bytes", "figures", "agreement", "accepted", "refusals")
    return {
        "evaluation": report["evaluation"],
        "files": [{name: file.get(name) for name in files} for file in report["artifacts"]],
        "host": report["host"],
    }


def make_tables(data: Path, folder: Path) -> None:
    """The tables for the configs that are to be copied."""
    photos = sorted((data / "hymenoptera").glob("*/*/*.jpg"))
    write(folder / "labels.csv", ("path", "label"), ((photo, photo.parent.name) for photo in photos))
    write(folder / "numbers.csv", ("path", "bees"), ((photo, int(photo.parent.name == "bees")) for photo in photos))
    write(folder / "texts.csv", ("text", "label"), some_intents(data))
    words = ((text, ";".join(label.split("_"))) for text, label in some_intents(data))
    write(folder / "text_labels.csv", ("text", "label"), words)
    write(folder / "text_numbers.csv", ("text", "news"), some_news(data))


def some_intents(data: Path) -> Iterator[tuple[str, str]]:
    """The texts of the first 10 intents of banking77."""
    with (data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    first = sorted({label for _, label in rows})[:10]
    yield from ((text, label) for text, label in rows if label in first)


def some_news(data: Path) -> Iterator[tuple[str, int]]:
    """1,500 sentences of the Financial PhraseBank, drawn by a seed, with what they say as a number."""
    number_of = {"negative": -1, "neutral": 0, "positive": 1}
    lines = (data / "financial_phrasebank/Sentences_AllAgree.txt").read_text(encoding="latin-1").splitlines()
    for place in np.random.default_rng(0).permutation(len(lines))[:1500]:
        text, _, news = lines[place].rpartition("@")
        yield text, number_of[news]


def write(path: Path, header: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows((header, *rows))


def print_table(runs: list[dict[str, Any]]) -> None:
    print(
        "| config | judged on | Keras | files: figure (agreement) | accepted | seconds |\n| --- " + "| --- " * 5 + "|"
    )
    for run in runs:
        if run["status"] not in (0, 3):
            print(f"| {run['config']} | | ended with status {run['status']} | | | {run['seconds']:.0f} |")
            continue
        files = run["files"]
        told = ", ".join(map(_told, files))
        accepted = f"{sum(bool(file['accepted']) for file in files)} of {len(files)}"
        evaluation = run["evaluation"]
        print(
            f"| {run['config']} | {evaluation['examples']} | {evaluation['keras']:.3f} | {told} | {accepted} "
            f"| {run['seconds']:.0f} |"
        )
    print(f"\nNot run, for want of a network: {', '.join(NEEDS_NETWORK)}.")
    hosts = [run["host"] for run in runs if "host" in run]
    print(f"\n{measured_on(hosts[-1])}" if hosts else "")


def _told(file: dict[str, Any]) -> str:
    figure = next(iter(file["figures"].values()))
    return f"{file['file'].removeprefix('artifacts/')} {figure:.3f} ({file['agreement']:.3f})"


if __name__ == "__main__":
    main()
