"""Sealed fields: texts and bytes open where they belong, with the key they were sealed with."""

import base64

import pytest

from app.store.crypto import FieldCipher, SecretKeyInvalid, UnreadableValue

KEY = base64.b64encode(bytes(range(32))).decode()
PLACE = "photos.jpeg/1"
BYTES = bytes(range(256)) * 3


@pytest.fixture
def cipher() -> FieldCipher:
    return FieldCipher(KEY)


@pytest.mark.parametrize("value", [BYTES, b"", b"\xff\xfe no text"])
def test_bytes_come_back_as_they_were(cipher, value) -> None:
    sealed = cipher.encrypt_bytes(value, place=PLACE)
    assert len(sealed) == len(value) + 29
    assert not value or value not in sealed
    assert cipher.decrypt_bytes(sealed, place=PLACE) == value
    assert cipher.encrypt_bytes(value, place=PLACE) != sealed


def test_a_text_is_sealed_as_its_bytes(cipher) -> None:
    sealed = cipher.encrypt("张三", place=PLACE)
    assert cipher.decrypt(sealed, place=PLACE) == "张三"
    assert cipher.decrypt_bytes(sealed, place=PLACE) == "张三".encode()


@pytest.mark.parametrize(
    "alter",
    [
        lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
        lambda sealed: sealed[:-1],
        lambda sealed: b"\x02" + sealed[1:],
        lambda sealed: sealed[:13] + b"\x00" + sealed[14:],
    ],
)
def test_what_was_altered_does_not_open(cipher, alter) -> None:
    sealed = cipher.encrypt_bytes(BYTES, place=PLACE)
    with pytest.raises(UnreadableValue):
        cipher.decrypt_bytes(alter(sealed), place=PLACE)


def test_nothing_opens_elsewhere_or_with_another_key(cipher) -> None:
    sealed = cipher.encrypt_bytes(BYTES, place=PLACE)
    with pytest.raises(UnreadableValue):
        cipher.decrypt_bytes(sealed, place="photos.jpeg/2")
    with pytest.raises(UnreadableValue):
        FieldCipher(base64.b64encode(bytes(32)).decode()).decrypt_bytes(sealed, place=PLACE)


@pytest.mark.parametrize("key", ["", "no base64!", base64.b64encode(bytes(31)).decode()])
def test_a_short_key_is_refused(key) -> None:
    with pytest.raises(SecretKeyInvalid):
        FieldCipher(key)
