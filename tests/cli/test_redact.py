"""`tfkit redact`: personal data in tables of texts, and all that only looks like it."""

import csv
import json
from pathlib import Path

import pytest

from tfkit.cli.main import main
from tfkit.data.text.redacting import Redactor
from tfkit.operations import TextTable, redact

_FOUND = {
    "Mail ann.lee+2@example.co.uk, please": "Mail <EMAIL_ADDRESS>, please",
    "see https://example.com/a?b=ann@example.com.": "see <URL>.",
    "IBAN DE89 3704 0044 0532 0130 00 is mine": "IBAN <IBAN_CODE> is mine",
    "gb29nwbk60161331926819": "<IBAN_CODE>",
    "card 4111-1111-1111-1111, exp 12/27": "card <CREDIT_CARD>, exp 12/27",
    "call +49 30 901820 today": "call <PHONE_NUMBER> today",
    "call (212) 555-0187 today": "call <PHONE_NUMBER> today",
    "from 192.168.0.12 and 2001:db8::7": "from <IP_ADDRESS> and <IP_ADDRESS>",
}
_LEFT = (
    "order 4111-1111-1111-1112 of 2026-11-29",  # no card: its check digit is wrong
    "IBAN DE89 3704 0044 0532 0130 03",
    "version 1.2.3.4.5 at 12:30:45",
    "999.999.999.999",
    "std::vector and @home",
    "0000 0000 0000 0000",
    "I paid 1,234,567.89 for 3 of them",
)


@pytest.mark.parametrize("text", _FOUND)
def test_personal_data_are_written_over(text: str) -> None:
    assert Redactor(region="US").redact(text).text == _FOUND[text]


@pytest.mark.parametrize("text", _LEFT)
def test_what_only_looks_like_it_stays(text: str) -> None:
    told = Redactor(region="US").redact(text)
    assert told.text == text and not told.found


def test_what_was_written_over_is_left_alone() -> None:
    once = Redactor().redact("a@b.example, +49 30 901820").text
    assert Redactor().redact(once).text == once


def test_every_kind_of_table_keeps_its_other_columns(tmp_path: Path) -> None:
    rows = [["id", "text", "label"], ["1", 'say "hi" to a@b.example,\nthen go', "x"], ["2", "nothing", "a@b.example"]]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    told = redact(tmp_path / "t.csv", tmp_path / "clean.csv")
    assert (told.rows, told.changed, told.found) == (2, 1, {"EMAIL_ADDRESS": 1})
    with (tmp_path / "clean.csv").open(newline="") as file:
        copied = list(csv.reader(file))
    assert copied == [rows[0], ["1", 'say "hi" to <EMAIL_ADDRESS>,\nthen go', "x"], rows[2]]

    (tmp_path / "t.tsv").write_text('a@b.example said "yes\tgood\nno\tbad\n')
    redact(tmp_path / "t.tsv", tmp_path / "clean.tsv", table=TextTable(header=False))
    assert (tmp_path / "clean.tsv").read_text() == '<EMAIL_ADDRESS> said "yes\tgood\nno\tbad\n'

    (tmp_path / "t.jsonl").write_text(json.dumps({"said": "zü a@b.example", "n": 1}) + "\n\n")
    redact(tmp_path / "t.jsonl", tmp_path / "clean.jsonl", table=TextTable(text_column="said"))
    assert json.loads((tmp_path / "clean.jsonl").read_text()) == {"said": "zü <EMAIL_ADDRESS>", "n": 1}

    (tmp_path / "t.txt").write_text("one\n+49 30 901820\n")
    assert redact(tmp_path / "t.txt", tmp_path / "clean.txt").rows == 2
    assert (tmp_path / "clean.txt").read_text() == "one\n<PHONE_NUMBER>\n"


def test_the_command_counts_and_says_what_it_cannot_find(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "t.csv", tmp_path / "clean.csv"
    source.write_text("text,label\nmail a@b.example,x\n")
    assert main(["redact", str(source), "--output", str(output)]) == 0
    told = capsys.readouterr().out
    assert "<EMAIL_ADDRESS>" in told and "1 of 1 texts are changed" in told and "names of people" in told
    for words, wrong in (
        ([str(source), "--output", str(output)], "exists already"),
        ([str(source), "--output", str(tmp_path / "x.tsv")], "another kind"),
        ([str(source), "--output", str(tmp_path / "x.csv"), "--text-column", "said"], "no column 'said'; it has text"),
        ([str(source), "--output", str(tmp_path / "x.csv"), "--region", "XX"], "no region 'XX'"),
        ([str(tmp_path / "no.csv"), "--output", str(tmp_path / "x.csv")], "cannot read"),
    ):
        assert main(["redact", *words]) == 1
        assert wrong in capsys.readouterr().err
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"text\n\xff\xfe\n")
    assert main(["redact", str(broken), "--output", str(tmp_path / "x.csv")]) == 1
    assert "is not UTF-8" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()
