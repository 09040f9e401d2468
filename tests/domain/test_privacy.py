import pytest

from app.domain.privacy import (
    PERSONAL_DATA_TEXT,
    PersonalData,
    find_personal_data,
    is_id_number,
    mask_id,
    mask_name,
    mask_phone,
)

# Made up; their check characters are right.
ID = "11010519491231002X"
ID_DIGITS = "440524188001010014"
PHONE, ID_NUMBER = PersonalData.PHONE, PersonalData.ID_NUMBER


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("13812341234", "138****1234"),
        ("053288881234", "0532****1234"),  # a landline with its area code
        ("02188881234", "021****1234"),
        ("8888123", "*****23"),
        ("12345", "****5"),
        ("12", "**"),
        ("", ""),
    ],
)
def test_a_phone_number_keeps_its_ends(phone, masked):
    assert mask_phone(phone) == masked


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张**"),
        ("张三丰", "张**"),
        ("欧阳娜娜", "欧阳**"),
        ("欧阳修", "欧阳**"),
        ("司马", "司**"),  # two characters: the second may be the given name
        ("张", "**"),
        ("", "**"),
        (" 李四 ", "李**"),
        ("买买提·吐尔逊", "买**"),
        ("John Smith", "J**"),
    ],
)
def test_a_name_keeps_its_surname_and_not_its_length(name, masked):
    assert mask_name(name) == masked


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("370281199001011234", "370281********1234"),
        (ID, "110105********002X"),
        ("110105491231002", "110105*****1002"),  # the 15 digits of old cards
        ("A1234567", "********"),
        ("", ""),
    ],
)
def test_an_identity_number_keeps_its_region_and_its_end(number, masked):
    assert mask_id(number) == masked


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        (ID, True),
        (ID.lower(), True),
        (ID_DIGITS, True),
        ("110105194912310021", False),  # wrong check character
        ("110105194902300024", False),  # no 30 February
        ("11010519491231002", False),  # 17 characters
        ("01010519491231002X", False),
    ],
)
def test_an_identity_number_has_a_real_birthday_and_the_right_check(number, valid):
    assert is_id_number(number) is valid


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("请拨打13812341234联系我", [PHONE]),
        ("电话：138 1234 1234", [PHONE]),
        ("电话138-1234-1234。", [PHONE]),
        ("+86 13812341234", [PHONE]),
        ("008613812341234", [PHONE]),
        ("８６１３８１２３４１２３４", [PHONE]),  # full-width
        ("１３８１２３４１２３４", [PHONE]),
        ("138\u200b1234\u200b1234", [PHONE]),  # invisible characters between
        (f"身份证{ID}", [ID_NUMBER]),
        ("身份证１１０１０５１９４９１２３１００２Ｘ", [ID_NUMBER]),
        ("110105 19491231 002x", [ID_NUMBER]),
        (f"{ID_DIGITS}，手机13812341234", [PHONE, ID_NUMBER]),
        ("13812341234、13912341234", [PHONE]),  # each kind once
        ("您反映的路灯问题已修复，感谢您的来信。", []),
        ("单号 JZ-20260213-000123", []),
        ("12345热线", []),
        ("0532-88881234", []),  # an office's landline may be told
        ("110105194912310021", [ID_NUMBER]),  # mistyped: the check character is wrong
        ("110105194902300024", []),  # 18 digits without a birthday
        ("990105194912310021", []),  # and without a province
        ("订单号 20260213138123412345678", []),  # a mobile number inside a longer one
        ("工期2026年1月3日至2026年12月31日", []),
        ("138****1234", []),
        ("金额1,381,234,123.40元", []),
        ("", []),
    ],
)
def test_personal_data_is_found_in_a_reply_and_only_there(text, kinds):
    assert find_personal_data(text) == kinds


def test_every_kind_of_personal_data_has_a_chinese_name():
    assert set(PERSONAL_DATA_TEXT) == set(PersonalData)


def test_a_long_text_of_digits_is_searched_quickly():
    assert find_personal_data("1" * 20_000 + " 1 3 - " * 5_000) == []
