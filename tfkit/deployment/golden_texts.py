"""Texts that break tokenisers: what a tokeniser written anew, on a phone, must cut as training did."""

import random

# Characters of Unicode 9 and older, which every phone in use knows.
_POOLS = {
    "latin": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "digits": "0123456789٠١٢३४½²①Ⅷ",
    "accents": "éÉàÂçÑüÖåÅøØßẞıİłŁđĐœŒæÆþÞ",
    "marks": "\u0301\u0300\u0308\u0327\u0323\u030a\u20dd\u0488\u0903",
    "greek": "αβγΔΣσςΩώΆ",
    "cyrillic": "абвГДЁёйЙЖщЪъ",
    "other scripts": "שלוםمرحباًहिन्दीไทยქართულიአማርኛ",
    "ideographs": "漢字交じり文한국어中文测试龥𠀀𪜀豈",
    "kana": "ひらがなカタカナｶﾞー々〆",
    "emoji": "😀👩\u200d👩\u200d👧🇩🇪❤\ufe0f👍🏽⌚☃",
    "punctuation": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~…“”‘’«»–—·¿¡、。「」",
    "symbols": "€£¥©®™°±×÷§¶†‡∑√∞≈→←",
    "spaces": " \t\r\n\u00a0\u2003\u2009\u202f\u205f\u3000\u2028\u2029",
    "control": "\x01\x07\x08\x0b\x0c\x1b\x1f\x7f\x80\x85\x9f",
    "format": "\u00ad\u200b\u200c\u200d\u200e\u202a\u2060\ufeff",
    "private": "\ue000\uf8ff\U000f0000",
    "compatibility": "ﬁﬀＡｂ１㎏㍿ﷺ",
}
_WRITTEN = (
    "",
    " ",
    " \t\r\n ",
    "\0",
    "a\0b \0 where\0is",
    "\ufffd rep\ufffdlaced",
    "Where is my PARCEL?",
    "it's 100% don't-know (really)...",
    "cafe\u0301 caf\u00e9 \u00c5ngstr\u00f6m na\u00efve \u1e9b\u0323 \u0130stanbul I\u0307",
    "ΣΑΣ ΟΔΟΣ. ΑΣ' Σ ΑΣΑ",
    "STRASSE Straße ẞ",
    "no\u00a0break thin\u2009space ideographic\u3000space line\u2028separator",
    "[CLS] where [SEP] [PAD] [UNK] <s> </s>",
    "##ing a ##b",
    "漢字漢字 mixed文字mixed",
    "e\u0301" * 40,
    "\u0301 alone",
    "word " * 600,
    "." * 300,
    "漢" * 200,
)
_RANDOM_TEXTS, _LONGEST = 240, 60


def golden_texts(sequence_length: int) -> tuple[str, ...]:
    """A few hundred texts; the same ones each time.

    Args:
        sequence_length: Tokens of a text at most; some texts end just there.

    Returns:
        Texts without lone surrogates.

    Example:
        >>> len(golden_texts(32)) > 300
        True
    """
    chosen = random.Random(0)
    every = "".join(_POOLS.values())
    pools = [f"{name}: {pool} {' '.join(pool)}" for name, pool in _POOLS.items()]
    # WordPiece's limit is 100 bytes of a word, however many characters these are.
    longest = [letter * count for letter in "xж漢😀" for count in (24, 25, 26, 33, 34, 49, 50, 51, 99, 100, 101, 1000)]
    cut = [" ".join(["to"] * count) for count in range(sequence_length - 4, sequence_length + 3)]
    mixed = []
    for _ in range(_RANDOM_TEXTS):
        some = [*chosen.sample(sorted(_POOLS.values()), 3), " ", every if chosen.random() < 0.3 else _POOLS["latin"]]
        mixed.append("".join(chosen.choice(chosen.choice(some)) for _ in range(chosen.randint(1, _LONGEST))))
    return (*_WRITTEN, *pools, *longest, *cut, *mixed)
