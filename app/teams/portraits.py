"""A photograph for the plaque: a small JPEG, made anew from the file that was sent.

Nothing of the file but its pixels goes on: no EXIF (where and with what it was taken), no colour
profile, no comment, no second picture behind the first. What a file says of its size is looked at
before anything is unpacked.
"""

import struct
import zlib
from io import BytesIO

from PIL.Image import Image, Resampling, Transpose, new
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from app.domain.errors import Invalid

JPEG, PNG = "image/jpeg", "image/png"
MAX_BYTES = 1024 * 1024
MOST_PIXELS = 16_000_000  # about 64 MB while it is unpacked
WIDTH, HEIGHT = 480, 640  # at most; 45 mm by 63 mm on the sheet need no more to look well
_QUALITY = 85
_ORIENTATION = 0x0112
# How a camera was held (EXIF 2.3, 4.6.4) → how to put its picture upright.
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_DAMAGED = (
    OSError,
    SyntaxError,  # so Pillow says that a file is not what it should be
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
)


class PhotoTypeUnsupported(Invalid):
    """照片须为 JPEG 或 PNG 文件。"""

    code = "team_photo_type"


class PhotoEmpty(Invalid):
    """没有收到照片文件。"""

    code = "team_photo_empty"


class PhotoUnreadable(Invalid):
    """无法读取这张照片：文件不完整、已损坏，或不是所声明的格式。"""

    code = "team_photo_unreadable"


class PhotoTooLarge(Invalid):
    """照片像素过多，不能超过 1600 万像素，请缩小后再上传。"""

    code = "team_photo_too_large"


class PhotoAnimated(Invalid):
    """照片不能是动图。"""

    code = "team_photo_animated"


def portrait_of(content: bytes, media_type: str) -> bytes:
    """Return the picture as a JPEG of at most 480 by 640, upright, on white. It takes a while.

    Raises: PhotoTypeUnsupported, PhotoEmpty, PhotoUnreadable, PhotoTooLarge, PhotoAnimated.
    """
    if media_type not in (JPEG, PNG):
        raise PhotoTypeUnsupported
    if not content:
        raise PhotoEmpty
    try:
        with _opened(content, media_type) as file:
            return _as_jpeg(_small(file))
    except _DAMAGED:
        raise PhotoUnreadable from None


def _opened(content: bytes, media_type: str) -> JpegImageFile | PngImageFile:
    """The file, its head read and nothing unpacked."""
    # By its class: ``Image.open`` would guess, and take a JPEG with a second picture for another
    # format.
    file: JpegImageFile | PngImageFile
    file = JpegImageFile(BytesIO(content)) if media_type == JPEG else PngImageFile(BytesIO(content))
    if file.width * file.height > MOST_PIXELS:
        raise PhotoTooLarge
    if isinstance(file, PngImageFile) and file.is_animated:
        raise PhotoAnimated
    return file


def _small(file: JpegImageFile | PngImageFile) -> Image:
    turn = _UPRIGHT.get(file.getexif().get(_ORIENTATION, 1))
    if isinstance(file, JpegImageFile):
        file.draft("RGB", (HEIGHT, HEIGHT))  # unpacked at a half, a quarter or an eighth
    file.load()
    if file.mode == "I;16":  # grey of 16 bits, which ``convert`` would cut off at 255
        image: Image = file.point(lambda value: value * (1 / 257)).convert("L")
    else:
        image = file.convert("RGBA" if file.has_transparency_data else "RGB")
    if turn is not None:
        image = image.transpose(turn)
    image.thumbnail((WIDTH, HEIGHT), Resampling.LANCZOS)
    return image


def _as_jpeg(image: Image) -> bytes:
    """Of a new picture: what hangs on the one that was read stays there."""
    page = new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    made = BytesIO()
    page.save(made, "JPEG", quality=_QUALITY, optimize=True)
    return made.getvalue()
