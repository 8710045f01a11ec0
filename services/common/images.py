"""Encoded bytes -> upright sRGB pixels. Training and serving both come through here, so what is learnt is what is served.

Order of work: byte limit, the file's structure, format allow-list, pixel limit from the header, and only then decoding
(JPEGs shrunk while they are decoded), 16-bit to 8, ICC profile to sRGB, alpha over white, EXIF orientation.
"""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from services.common import errors, structure

RGB = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/tiff")
# Only named in the error sentence: what people send by mistake, told from bytes that are no image at all.
_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"<svg": "SVG",
    b"<?xml": "SVG or XML",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\x00\x00\x01\x00": "ICO",
    b"8BPS": "Photoshop",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
}
_EXIF_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106
# Bytes a pixel that Pillow holds, by mode (4 for all others), and that a decoder holds beside them while it works.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
_DECODERS = {"WEBP": 10, "TIFF": 8}
# Pixels converted at once: the whole of a large picture is held twice at the most, as stored and as answered.
_STRIP = 4_000_000
_SRGB = ImageCms.createProfile("sRGB")

# Pillow's own check warns or raises at sizes of its choosing; ``Limits`` below is judged from the header before it.
Image.MAX_IMAGE_PIXELS = None
# Sentences made of what a caller sent, each of which Python would keep.
warnings.filterwarnings("ignore", module="PIL")


class Frame(StrEnum):
    """``sensor``: the pixel rows as stored, as photogrammetry wants them; ``display``: EXIF orientation applied."""

    SENSOR = "sensor"
    DISPLAY = "display"


class ResizeRule(StrEnum):
    """How a photograph is brought to the model's size; the manifest names one."""

    SQUASH = "squash"
    LETTERBOX = "letterbox"
    CENTER_CROP = "center-crop"


@dataclass(frozen=True, slots=True)
class Limits:
    """``max_bytes`` of the encoded file; ``max_pixels`` = width x height as its header claims."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 120_000_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded photograph.

    ``pixels`` is uint8 sRGB [h, w, 3] in the frame asked for, perhaps shrunk; ``width`` and ``height`` are the
    photograph's own size in that frame. ``orientation`` is the EXIF tag, 1-8. ``notes`` are remarks on how the photograph was
    read, e.g. that only the first page was used.
    """

    pixels: RGB
    width: int
    height: int
    format: str
    orientation: int
    notes: tuple[str, ...] = ()


@dataclass
class Encoded:
    """A photograph that was opened and judged but not decoded. Made by :func:`inspect`, decoded once."""

    image: Image.Image = field(repr=False)
    data: bytes = field(repr=False)
    width: int
    height: int
    shrink_to: int | None

    @property
    def cost(self) -> int:
        """Bytes that :meth:`decode` holds at its peak, told from the header."""
        pixels, format_ = self.image.width * self.image.height, str(self.image.format)
        # A progressive JPEG is kept whole as 16-bit coefficients, however small it is drawn.
        kept = 2 * len(self.image.getbands()) * self.width * self.height if self.image.info.get("progressive") else 0
        return kept + pixels * (_STORED.get(self.image.mode, 4) + _DECODERS.get(format_, 0) + 3)

    def decode(self, frame: Frame) -> Decoded:
        """Decode to sRGB. Raises ``ImageUndecodable``, ``ImageTruncated``, ``ImageFormatUnsupported``."""
        image, format_, (width, height) = self.image, str(self.image.format), (self.width, self.height)
        notes: list[str] = []
        # Pillow turns a TIFF upright while it loads it, and forgets how it lay; no other format.
        upright = format_ == "TIFF"
        try:
            if _has_second_page(image):
                notes.append("the file holds several pages; the first was used")
            orientation = _orientation(image) if upright else 1
            profile = image.info.get("icc_profile")
            image.load()
            orientation = orientation if upright else _orientation(image)
            pixels = _as_rgb(image, profile, notes, self.shrink_to)
        except errors.MaquetteError:
            raise
        except Exception as error:
            raise _broken(error, self.data) from error
        if upright is not (frame is Frame.DISPLAY):
            pixels = to_sensor(pixels, orientation) if upright else to_display(pixels, orientation)
            if orientation >= 5:
                width, height = height, width
        return Decoded(pixels, width, height, "JPEG" if format_ == "MPO" else format_, orientation, tuple(notes))


def inspect(data: bytes, limits: Limits, *, shrink_to: int | None = None) -> Encoded:
    """Judge limits and structure, and open without decoding. ``shrink_to``: see :func:`decode`.

    Raises ``ImageMissing``, ``ImageTooManyBytes``, ``ImageFormatUnsupported``, ``ImageUndecodable``, ``ImageTruncated``,
    ``ImageTooManyPixels``.
    """
    if not data:
        raise errors.ImageMissing("Send the bytes of one image: the body or its `image` field is empty.")
    if len(data) > limits.max_bytes:
        raise too_many_bytes(limits)
    structure.judge(data)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    except Exception as error:  # parsers of hostile headers raise whatever they like
        raise _broken(error, data) from error
    width, height = image.size
    if width * height > limits.max_pixels:
        raise errors.ImageTooManyPixels(
            f"The image is {width} x {height} pixels; send at most {limits.max_pixels / 1e6:g} megapixels."
        )
    if width < 1 or height < 1:
        raise errors.ImageUndecodable("The image has no pixels; send one that does.")
    if shrink_to:
        image.draft(None, (shrink_to, shrink_to))
    return Encoded(image, data, width, height, shrink_to)


def decode(data: bytes, limits: Limits, frame: Frame, *, shrink_to: int | None = None) -> Decoded:
    """:func:`inspect` and decode to upright sRGB.

    With ``shrink_to``, a JPEG whose both sides stay at least that many pixels is decoded at 1/2, 1/4 or 1/8 of its size
    (DCT scaling), which makes 12 MP two to three times cheaper; what is still twice as large as needed, of any format, is
    divided by a whole number once it is decoded. Raises what :func:`inspect` and :meth:`Encoded.decode` raise.
    """
    return inspect(data, limits, shrink_to=shrink_to).decode(frame)


def resize(pixels: RGB, size: tuple[int, int], rule: ResizeRule) -> RGB:
    """uint8 RGB [h, w, 3] -> uint8 RGB [height, width, 3], ``size`` = (height, width), bilinear with antialiasing.

    ``squash`` ignores the aspect ratio; ``letterbox`` keeps all of the picture between white bars; ``center-crop`` fills
    the frame and cuts what sticks out.
    """
    height, width = size
    if pixels.shape[:2] == (height, width):
        return pixels
    image, method = Image.fromarray(pixels), Image.Resampling.BILINEAR
    if rule is ResizeRule.LETTERBOX:
        resized = ImageOps.pad(image, (width, height), method, color="white")
    elif rule is ResizeRule.CENTER_CROP:
        resized = ImageOps.fit(image, (width, height), method)
    else:
        resized = image.resize((width, height), method, reducing_gap=3.0)
    return np.asarray(resized)


def to_display(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Apply the EXIF orientation (1-8): the rows as the camera stored them [h, w, ...] -> an upright array."""
    # The two quarter turns undo each other; every other orientation undoes itself.
    return to_sensor(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def to_sensor(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Undo the EXIF orientation (1-8): an upright array [h, w, ...] -> the rows as the camera stored them."""
    turned = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    if orientation in (3, 4, 6, 7):
        turned = turned[::-1]
    if orientation in (2, 3, 7, 8):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def too_many_bytes(limits: Limits) -> errors.ImageTooManyBytes:
    return errors.ImageTooManyBytes(f"The image file is too large; send at most {limits.max_bytes / 2**20:g} MiB.")


def _as_rgb(image: Image.Image, profile: bytes | None, notes: list[str], shrink_to: int | None) -> RGB:
    """Any mode that the allow-listed formats decode to -> uint8 sRGB [h, w, 3], strip by strip."""
    factor = max(1, min(image.size) // shrink_to) if shrink_to else 1
    # Pillow inverts 8-bit TIFFs whose white is zero, but not those of 16 bits.
    inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
    transform = functools.cache(functools.partial(_transform, profile, notes))
    width, height = image.size
    rows = max(1, _STRIP // (width * factor)) * factor
    pixels = np.empty((math.ceil(height / factor), math.ceil(width / factor), 3), np.uint8)
    for top in range(0, height, rows):
        strip = image if rows >= height else image.crop((0, top, width, min(top + rows, height)))
        rgb = _to_srgb(strip, transform, inverted)
        pixels[top // factor : (top + rows) // factor] = np.asarray(rgb.reduce(factor) if factor > 1 else rgb)
    return pixels


def _to_srgb(image: Image.Image, transform: Callable[[str], ImageCms.ImageCmsTransform | None], inverted: bool) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow clips instead of scaling. "I" is a 16-bit PNG or a TIFF of wider integers; only the former has a known range.
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:
            raise errors.ImageFormatUnsupported("The image has 32-bit samples; send 8 or 16 bits per channel.")
        grey = (wide // 257).astype(np.uint8)
        image = Image.fromarray(255 - grey if inverted else grey)
    elif image.mode == "F":
        raise errors.ImageFormatUnsupported("The image has floating-point samples; send 8 or 16 bits per channel.")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode in ("La", "RGBa"):
        image = image.convert(image.mode[:-1] + "A")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha is not None:
        image = image.convert(image.mode[:-1])
    if to_srgb := transform(image.mode):
        image = to_srgb.apply(image)
    elif image.mode != "RGB":  # to its own mode, Pillow copies
        image = image.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    return image


def _transform(profile: bytes | None, notes: list[str], mode: str) -> ImageCms.ImageCmsTransform | None:
    """From an embedded profile to sRGB, or None where the pixels are taken for sRGB as they are."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                return ImageCms.buildTransform(source, _SRGB, mode, "RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            notes.append("the embedded colour profile could not be applied; sRGB was assumed")
    return None


def _orientation(image: Image.Image) -> int:
    try:
        exif = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
        if profile := image.info.get("Raw profile type exif"):  # as ImageMagick writes it, in hexadecimal
            exif = bytes.fromhex("".join(profile.splitlines()[3:])).removeprefix(b"Exif\0\0")
        if not structure.directory_is_plausible(exif, most_bytes=16 * len(exif)):
            return 1
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # a damaged block of metadata is no reason to refuse the whole pixels beside it
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _has_second_page(image: Image.Image) -> bool:
    """Look one page ahead only: counting pages would walk a chain that the sender made as long as they liked."""
    if image.format != "TIFF":
        return bool(getattr(image, "is_animated", False)) and image.format != "MPO"
    try:
        image.seek(1)
    except EOFError:
        return False
    finally:
        image.seek(0)
    return True


def _unidentified(data: bytes) -> errors.MaquetteError:
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
    accepted = ", ".join(FORMATS)
    for magic, name in _OTHER_FORMATS.items():
        if start.startswith(magic):
            return errors.ImageFormatUnsupported(f"{name} is not supported; send {accepted}.")
    if data[4:8] == b"ftyp":
        return errors.ImageFormatUnsupported(f"HEIF and AVIF are not supported; send {accepted}.")
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return _broken(EOFError(), data)
    if data[8:12] == b"WEBP":
        return _broken(ValueError(), data)
    return errors.ImageUndecodable(f"The bytes are not an image; send {accepted}.")


def _broken(error: Exception, data: bytes) -> errors.MaquetteError:
    """Tell a file that was cut short from one that is damaged: the first is worth sending again."""
    cut_webp = data[8:12] == b"WEBP" and len(data) < int.from_bytes(data[4:8], "little") + 8
    if cut_webp or "truncated" in str(error).lower() or isinstance(error, EOFError):
        return errors.ImageTruncated("The image ends before its pixels do; send the whole file again.")
    return errors.ImageUndecodable("The image is damaged and cannot be decoded; export it again and send that.")
