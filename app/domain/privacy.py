"""Personal data in the open: how it is masked, and how it is found where it must not stand.

Source: domain C9 (masks 138****1234, 张**, 370281********1234); GB 11643 (identity numbers,
checksum ISO 7064 MOD 11-2); GB/T 2260 (provinces).
"""

import re
import unicodedata
from datetime import date
from enum import StrEnum


class PersonalData(StrEnum):
    PHONE = "phone"
    ID_NUMBER = "id_number"


PERSONAL_DATA_TEXT: dict[PersonalData, str] = {
    PersonalData.PHONE: "手机号码",
    PersonalData.ID_NUMBER: "身份证号码",
}

_TWO_CHARACTER_SURNAMES = """
欧阳 太史 端木 上官 司马 东方 独孤 南宫 万俟 闻人 夏侯 诸葛 尉迟 公羊 赫连 澹台 皇甫 宗政 濮阳
公冶 太叔 申屠 公孙 慕容 仲孙 钟离 长孙 宇文 司徒 鲜于 司空 闾丘 令狐 淳于 单于 呼延 轩辕
"""
_COMPOUND_SURNAMES = frozenset(_TWO_CHARACTER_SURNAMES.split())
_MASK = "*"
# People part long numbers with blanks, hyphens or dots to make them readable, or to slip through.
_GAP = r"[ \t.\-_·—–]{0,2}"
_PHONE = re.compile(
    rf"(?<![0-9])(?:(?:\+|00)?86{_GAP})?1{_GAP}[3-9](?:{_GAP}[0-9]){{9}}(?![0-9])", re.ASCII
)
_ID_NUMBER = re.compile(
    rf"(?<![0-9])[1-9](?:{_GAP}[0-9]){{16}}{_GAP}[0-9Xx](?![0-9A-Za-z])", re.ASCII
)
_INVISIBLE = frozenset({"Cf", "Mn"})
_PUNCTUATION = re.compile(r"[\s()\-\u00ad\u2010-\u2015\u2212\u200b\u2060\ufeff]")
_MOBILE_OR_LANDLINE = re.compile(r"1[3-9][0-9]{9}|0(?:10|2[0-9]|[3-9][0-9]{2})[2-9][0-9]{6,7}")
_LONGEST_WRITTEN = 40
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"
_ID_BUILD = re.compile(
    r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91)[0-9]{15}[0-9Xx]", re.ASCII
)


def mask_phone(phone: str) -> str:
    """``13812341234`` → ``138****1234``; shorter numbers keep at most their last two digits."""
    if len(phone) >= 11:
        return f"{phone[:-8]}{_MASK * 4}{phone[-4:]}"
    shown = min(2, len(phone) // 3)
    return _MASK * (len(phone) - shown) + (phone[-shown:] if shown else "")


def mask_name(name: str) -> str:
    """``张三丰`` → ``张**``: the surname and two stars, however long the name is.

    ``欧阳娜娜`` → ``欧阳**``. A name of one character is hidden altogether; of a name in other
    letters the first letter stays.
    """
    name = name.strip()
    if len(name) <= 1:
        return _MASK * 2
    surname = 2 if len(name) > 2 and name[:2] in _COMPOUND_SURNAMES else 1
    return name[:surname] + _MASK * 2


def mask_id(number: str) -> str:
    """``370281199001011234`` → ``370281********1234``; anything shorter is hidden altogether."""
    if len(number) < 15:
        return _MASK * len(number)
    return number[:6] + _MASK * (len(number) - 10) + number[-4:]


def plain_phone(written: str) -> str | None:
    """A mainland mobile, or a landline with its area code, as digits; None if it is neither."""
    digits = _without_punctuation(written)
    digits = digits.removeprefix("+86").removeprefix("0086")
    return digits if _MOBILE_OR_LANDLINE.fullmatch(digits) else None


def plain_id_number(written: str) -> str | None:
    """An identity number as it is kept, 18 characters with an upper-case X; None if it is none."""
    number = _without_punctuation(written).upper()
    return number if is_id_number(number) else None


def _without_punctuation(written: str) -> str:
    """Half-width, as people write numbers without blanks, hyphens and brackets; "" if too long."""
    if len(written) > _LONGEST_WRITTEN:
        return ""
    if written.isascii() and written.isalnum():
        return written
    return _PUNCTUATION.sub("", unicodedata.normalize("NFKC", written))


def is_id_number(number: str) -> bool:
    """Whether ``number`` (18 characters, half-width) is a resident identity number: a date of
    birth that exists, and the right check character."""
    if not _is_built_like_id_number(number):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], _ID_WEIGHTS, strict=True))
    return _ID_CHECKS[total % 11] == number[17].upper()


def _is_built_like_id_number(number: str) -> bool:
    """A province and a date of birth that exist; the check character may be mistyped."""
    if _ID_BUILD.fullmatch(number) is None:
        return False
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return 1850 <= born.year <= 2150


def find_personal_data(text: str) -> list[PersonalData]:
    """Return the kinds of personal data that stand readable in ``text``, each once.

    Finds mainland mobile numbers and 18-digit identity numbers, also in full-width digits, parted
    by blanks or hyphens, or with invisible characters between. A mistyped identity number still
    points at somebody, so its check character is not asked for.
    """
    ids: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        number = re.sub(r"[^0-9Xx]", "", match[0])
        if not _is_built_like_id_number(number):
            return match[0]
        ids.append(number)
        return "#"

    # Identity numbers first: the birthday inside one, parted by blanks, looks like a phone number.
    rest = _ID_NUMBER.sub(take_out, _plain(text))
    found = [PersonalData.PHONE] if _PHONE.search(rest) else []
    return [*found, PersonalData.ID_NUMBER] if ids else found


def _plain(text: str) -> str:
    """Compatibility forms folded (１ → 1), invisible characters dropped."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(mark for mark in folded if unicodedata.category(mark) not in _INVISIBLE)
