"""Encoded bytes -> upright sRGB pixels. Training and serving both come through here, so what is learnt is what is served.

Order of work: byte limit, format allow-list, pixel limit from the header, and only then decoding (JPEGs shrunk while
they are decoded), 16-bit to 8, ICC profile to sRGB, alpha over white, EXIF orientation.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from services.common import errors

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
_SRGB = ImageCms.createProfile("sRGB")

# Pillow's own check warns or raises at sizes of its choosing; ``Limits`` below is judged from the header before it.
Image.MAX_IMAGE_PIXELS = None


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
    photograph's own size in that frame. ``orientation`` is the EXIF tag, 1-8. ``notes`` say what the caller may not expect.
    """

    pixels: RGB
    width: int
    height: int
    format: str
    orientation: int
    notes: tuple[str, ...] = ()


def header(data: bytes, limits: Limits) -> Image.Image:
    """Open without decoding and judge the limits.

    Raises ``ImageMissing``, ``ImageTooManyBytes``, ``ImageFormatUnsupported``, ``ImageUndecodable``, ``ImageTruncated``,
    ``ImageTooManyPixels``.
    """
    if not data:
        raise errors.ImageMissing("Send the bytes of one image: the body or its `image` field is empty.")
    if len(data) > limits.max_bytes:
        raise too_many_bytes(limits)
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
    return image


def decoded_pixels(data: bytes, limits: Limits, shrink_to: int | None) -> int:
    """How many pixels :func:`decode` will hold, told from the header. Raises what :func:`header` raises."""
    image = header(data, limits)
    if shrink_to:
        image.draft(None, (shrink_to, shrink_to))
    return image.width * image.height


def decode(data: bytes, limits: Limits, frame: Frame, *, shrink_to: int | None = None) -> Decoded:
    """Decode to upright sRGB.

    With ``shrink_to``, a JPEG whose both sides stay at least that many pixels is decoded at 1/2, 1/4 or 1/8 of its size
    (DCT scaling), which makes 12 MP two to three times cheaper; what is still twice as large as needed, of any format, is
    divided by a whole number once it is decoded. Raises what :func:`header` raises.
    """
    image = header(data, limits)
    format_, (width, height) = str(image.format), image.size
    notes: list[str] = []
    # Pillow turns a TIFF upright while it loads it, and forgets how it lay; no other format.
    upright, orientation = format_ == "TIFF", 1
    try:
        if _has_second_page(image):
            notes.append("the file holds several pages; the first was used")
        if upright:
            orientation = _orientation(image)
        profile = image.info.get("icc_profile")
        if shrink_to:
            image.draft(None, (shrink_to, shrink_to))
        image.load()
        if not upright:
            orientation = _orientation(image)
        image = _to_srgb(image, profile, notes)
        if shrink_to and min(image.size) >= 2 * shrink_to:
            image = image.reduce(min(image.size) // shrink_to)
        pixels = np.asarray(image)
    except errors.MaquetteError:
        raise
    except Exception as error:
        raise _broken(error, data) from error
    if upright is not (frame is Frame.DISPLAY):
        pixels = to_sensor(pixels, orientation) if upright else to_display(pixels, orientation)
        if orientation >= 5:
            width, height = height, width
    return Decoded(pixels, width, height, "JPEG" if format_ == "MPO" else format_, orientation, tuple(notes))


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


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Any mode that the allow-listed formats decode to -> 8-bit RGB."""
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow clips instead of scaling. "I" is a 16-bit PNG or a TIFF of wider integers; only the former has a known range.
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:
            raise errors.ImageFormatUnsupported("The image has 32-bit samples; send 8 or 16 bits per channel.")
        grey = (wide // 257).astype(np.uint8)
        # Pillow inverts 8-bit TIFFs whose white is zero, but not those of 16 bits.
        white_is_zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
        image = Image.fromarray(255 - grey if white_is_zero else grey)
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
    image = _apply_profile(image, profile, notes)
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    return image


def _apply_profile(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            notes.append("the embedded colour profile could not be applied; sRGB was assumed")
    return image if image.mode == "RGB" else image.convert("RGB")  # to its own mode, Pillow copies


def _orientation(image: Image.Image) -> int:
    try:
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
