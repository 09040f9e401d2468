"""Personal data at rest: AEAD for what must be read again, a keyed hash for what must be found.

One master key comes from the settings; the working keys are derived from it (HKDF-SHA-256), so
that the key which encrypts never hashes. Each value is bound to its place (table, column) by the
additional data: a ciphertext moved to another column does not open.
"""

import base64
import binascii
import hmac
import os
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"
_NONCE_BYTES = 12


class SecretKeyInvalid(ValueError):
    """LIANXIN_SECRET_KEY must be base64 of at least 32 random bytes."""


class UnreadableValue(RuntimeError):
    """A stored value does not open: another key, another place, or it was altered."""


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"lianxin/" + purpose).derive(master)


class FieldCipher:
    """Encrypts single fields with AES-256-GCM and hashes them for look-up."""

    def __init__(self, secret_key: str) -> None:
        """Raises: SecretKeyInvalid."""
        try:
            master = base64.b64decode(secret_key, validate=True)
        except (binascii.Error, ValueError):
            raise SecretKeyInvalid(SecretKeyInvalid.__doc__) from None
        if len(master) < 32:
            raise SecretKeyInvalid(SecretKeyInvalid.__doc__)
        self._aead = AESGCM(_derive(master, b"field"))
        self._index_key = _derive(master, b"index")

    def encrypt(self, value: str, *, place: str) -> bytes:
        """Return the sealed value. ``place`` names the table and column, and the row too where a
        value must not be moved to another one."""
        return self.encrypt_bytes(value.encode(), place=place)

    def decrypt(self, sealed: bytes, *, place: str) -> str:
        """Raises: UnreadableValue."""
        return self.decrypt_bytes(sealed, place=place).decode()

    def encrypt_bytes(self, value: bytes, *, place: str) -> bytes:
        """The same as ``encrypt``, for what is no text: 29 bytes more than ``value``."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, value, place.encode())

    def decrypt_bytes(self, sealed: bytes, *, place: str) -> bytes:
        """Raises: UnreadableValue."""
        if sealed[:1] != _VERSION:
            raise UnreadableValue(UnreadableValue.__doc__)
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, body, place.encode())
        except InvalidTag:
            raise UnreadableValue(UnreadableValue.__doc__) from None

    def blind_index(self, value: str, *, place: str) -> bytes:
        """Return 32 bytes that are equal for equal values and tell nothing without the key."""
        return hmac.digest(self._index_key, f"{place}\0{value}".encode(), sha256)
