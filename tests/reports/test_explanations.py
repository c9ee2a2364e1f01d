"""Which words made a run's mistakes, in its page and its JSON."""

import html as html_text
import json
import re
from dataclasses import replace

import keras
import numpy as np
import pytest

from tfkit.artifacts import RunDirectory, TextSpec
from tfkit.data.text import TextExamples, learn_word_pieces
from tfkit.explaining import Explanation, WordShare
from tfkit.reports import Evaluation, Explanations, explain_mistakes
from tfkit.reports.explanations import further_words, marked, signed
from tfkit.reports.files import report_document
from tfkit.reports.findings import mistakes
from tfkit.reports.page import render_page


def explanation(text: str, **shares: float) -> Explanation:
    """Each word of a text with a share; 0 where none is given."""
    words = tuple(
        WordShare(
            found[0], found.start(), found.end(), (found[0],), 3 * shares.get(found[0], 0), shares.get(found[0], 0)
        )
        for found in re.finditer(r"\S+", text)
    )
    return Explanation(text, 1, 0.93, 0.02, words, change=2.5, gap=0.0021, steps=16, read_characters=len(text))


def explained(report, told: Explanation, **options):
    """The report with its surest mistake explained."""
    surest = mistakes(report.evaluation)[0]
    return replace(report, explanations=Explanations("models/float.keras", ((surest, told),), **options))


def test_page_puts_shares_above_words(make_text_report, texts):
    told = explanation("why was my <b>card</b>\n  declined", why=-0.09, declined=0.9, was=0.01)
    html = render_page(explained(make_text_report(77), told, notes=("9 more were not explained",)), misclassified=texts)

    (quotation,) = re.findall(r'<blockquote dir="auto" class="marked">(.*?)</blockquote>', html)
    words = re.findall(
        r'<ruby class="(\w+)" style="--tint: (\d+)%" title="([^"]*)">(.*?)<rt dir="ltr">(.*?)</rt>', quotation
    )
    assert words == [
        ("against", "6", "−9.0 %", "why", "−9"),
        ("for", "60", "+90.0 %", "declined", "+90"),
    ]
    plain = html_text.unescape(re.sub(r"<rt.*?</rt>|<[^>]+>", "", quotation))
    assert plain == "why was my <b>card</b> declined"
    assert "they miss 0.21 % of all they moved" in " ".join(html.split())
    assert "9 more were not explained" in html
    assert html.count('<blockquote dir="auto">') == 11  # the others are quoted as before


def test_page_of_a_run_without_explanations_says_nothing_of_them(make_text_report, texts):
    assert "ntegrated gradients" not in render_page(make_text_report(77), misclassified=texts)


def test_loud_words_behind_the_end_of_the_quotation_are_named():
    told = explanation("dull " * 200 + "lost stolen", lost=0.4, stolen=-0.5)

    shown = "".join(mark.text for mark in marked(told))
    assert shown.startswith("dull dull") and shown.endswith("…") and len(shown) <= 401
    assert [(word.word, signed(word.share)) for word in further_words(told)] == [("stolen", "−50 %"), ("lost", "+40 %")]


def test_document_keeps_every_word(make_text_report):
    report = explained(make_text_report(77), explanation("card declined", declined=1.0))

    document = json.loads(json.dumps(report_document(report), allow_nan=False))["explanations"]

    (mistake,) = document["mistakes"]
    assert document["model"] == "models/float.keras" and document["method"].startswith("integrated gradients")
    assert mistake["predicted"] == report_document(report)["mistakes"][0]["predicted"]
    assert mistake["words"][1] == {
        "word": "declined", "start": 5, "end": 13, "pieces": ["declined"], "contribution": 3.0, "share": 1.0,
    }  # fmt: skip
    assert report_document(make_text_report(77))["explanations"] is None


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory):
    """A run whose model takes every text with `parcel` for a refund, its spec, its test texts and its answers."""
    run = RunDirectory(tmp_path_factory.mktemp("mistaken"))
    texts = ("where is my parcel", "my refund please", "parcel", "the parcel is late")
    tokenizer = learn_word_pieces(texts, size=60)
    tokenizer.save(run.tokenizer)
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
    table = keras.layers.Embedding(tokenizer.vocabulary_size, 1, name="token_embedding", embeddings_initializer="zeros")
    pooled = keras.layers.GlobalAveragePooling1D()(table(ids), mask=mask)
    logits = keras.layers.Dense(2, name="logits")
    scores = keras.layers.Softmax(name="scores")(logits(pooled))
    for piece in tokenizer(["parcel"], sequence_length=8)["token_ids"][0, 1:-1]:
        if piece not in (tokenizer.layer.end_token_id, tokenizer.layer.pad_token_id):
            table.embeddings.assign(table.embeddings.numpy() + 9 * np.eye(tokenizer.vocabulary_size)[:, [piece]])
    logits.set_weights([np.array([[0.0, 1.0]]), np.array([0.3, 0.0])])
    model = keras.Model({"token_ids": ids, "padding_mask": mask}, scores)
    run.models.mkdir()
    model.save(run.float_model)
    examples = TextExamples(texts, np.array([0, 1, 0, 0], np.int32), tuple("abcd"), ("delivery", "refund"))
    answers = np.asarray(model(tokenizer(texts, sequence_length=8)))
    return (
        run,
        TextSpec(8, run.tokenizer),
        examples,
        Evaluation(examples.class_names, examples.labels, answers, tuple("abcd")),
    )


def test_mistakes_of_a_run_are_explained_by_its_own_model(mistaken):
    run, spec, examples, evaluation = mistaken
    told = explain_mistakes(run, evaluation, examples, spec)

    assert told.model == "models/float.keras" and told.gap <= 0.01
    assert {mistake.name for mistake, _ in told.mistakes} == {"a", "b", "c", "d"}
    for mistake, why in told.mistakes:
        strongest = max(why.words, key=lambda word: word.share, default=None)
        assert mistake.predicted == "delivery" or strongest.word == "parcel"
    assert told.of(0).text == "where is my parcel" and told.of(7) is None


def test_time_that_is_used_up_is_told(mistaken):
    run, spec, examples, evaluation = mistaken
    told = explain_mistakes(run, evaluation, examples, spec, seconds=0)

    assert len(told.mistakes) == 1
    assert told.notes == ("3 more were not explained: 0 seconds were used up",)


def test_run_without_models_still_gets_its_report(mistaken, tmp_path):
    _, spec, examples, evaluation = mistaken
    told = explain_mistakes(RunDirectory(tmp_path), evaluation, examples, spec)

    assert told.mistakes == () and "no Keras model was kept" in told.notes[0]
