"""Every kind of file a museum sends, and every kind it should not have."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from services.common import errors, images
from services.common.images import Frame, Limits, ResizeRule
from tests.files import bomb, chunk, encode, png_by_hand

LIMITS = Limits()
ORIENTATION = 0x0112


def scene(height: int = 48, width: int = 80) -> np.ndarray:
    """Four quarters of four colours: its orientation can be told, and it survives lossy formats."""
    pixels = np.zeros((height, width, 3), np.uint8)
    middle, centre = height // 2, width // 2
    pixels[:middle, :centre], pixels[:middle, centre:] = (200, 40, 40), (40, 200, 40)
    pixels[middle:, :centre], pixels[middle:, centre:] = (40, 40, 200), (220, 220, 40)
    return pixels


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    bigtiff = options.pop("bigtiff", False)
    with tifffile.TiffWriter(stream, bigtiff=bigtiff) as writer:
        for page in pixels if options.pop("pages", False) else [pixels]:
            writer.write(page, **options)
    return stream.getvalue()


def decode(data: bytes, frame: Frame = Frame.DISPLAY, shrink_to: int | None = None) -> images.Decoded:
    decoded = images.decode(data, LIMITS, frame, shrink_to=shrink_to)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.ndim == 3
    assert decoded.pixels.shape[2] == 3
    return decoded


def near(actual: np.ndarray, expected: np.ndarray, tolerance: float = 3) -> bool:
    """Alike but for the edges between the quarters, where lossy formats ring."""
    return actual.shape == expected.shape and bool(
        np.median(np.abs(actual.astype(int) - expected), axis=(0, 1)).max() <= tolerance
    )


class TestFormats:
    @pytest.mark.parametrize(
        ("format_", "options"),
        [
            ("JPEG", {"quality": 95}),
            ("JPEG", {"quality": 95, "progressive": True}),
            ("PNG", {}),
            ("WEBP", {"quality": 95}),
            ("WEBP", {"lossless": True}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("TIFF", {"compression": "tiff_adobe_deflate"}),
            ("TIFF", {"compression": "jpeg"}),
        ],
    )
    def test_colour(self, format_: str, options: dict[str, Any]) -> None:
        decoded = decode(encode(Image.fromarray(scene()), format_, **options))
        assert near(decoded.pixels, scene())
        assert (decoded.format, decoded.width, decoded.height, decoded.orientation) == (format_, 80, 48, 1)
        assert decoded.notes == ()

    def test_mpo_is_a_jpeg(self) -> None:
        """Phones append a second frame to their JPEGs; the first is the photograph."""
        second = Image.new("RGB", (80, 48))
        decoded = decode(encode(Image.fromarray(scene()), "MPO", save_all=True, append_images=[second], quality=95))
        assert near(decoded.pixels, scene())
        assert (decoded.format, decoded.notes) == ("JPEG", ())

    def test_bigtiff(self) -> None:
        data = tiff(scene(), bigtiff=True, photometric="rgb")
        assert data[:4] == b"II+\x00"
        assert np.array_equal(decode(data).pixels, scene())

    def test_big_endian_tiff(self) -> None:
        stream = io.BytesIO()
        tifffile.imwrite(stream, scene(), photometric="rgb", byteorder=">")
        assert np.array_equal(decode(stream.getvalue()).pixels, scene())

    def test_16_bit_tiff_colour(self) -> None:
        assert near(decode(tiff(scene().astype(np.uint16) * 257, photometric="rgb")).pixels, scene(), 1)

    def test_16_bit_tiff_grey(self) -> None:
        grey = scene()[..., 0]
        decoded = decode(tiff(grey.astype(np.uint16) * 257, photometric="minisblack"))
        assert near(decoded.pixels, np.repeat(grey[..., None], 3, 2), 0)

    def test_16_bit_tiff_where_white_is_zero(self) -> None:
        grey = scene()[..., 0]
        decoded = decode(tiff(65535 - grey.astype(np.uint16) * 257, photometric="miniswhite"))
        assert near(decoded.pixels, np.repeat(grey[..., None], 3, 2), 1)

    def test_8_bit_tiff_where_white_is_zero(self) -> None:
        grey = scene()[..., 0]
        decoded = decode(tiff(255 - grey, photometric="miniswhite"))
        assert near(decoded.pixels, np.repeat(grey[..., None], 3, 2), 0)

    def test_16_bit_png_grey(self) -> None:
        grey = scene()[..., 0]
        data = encode(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
        assert near(decode(data).pixels, np.repeat(grey[..., None], 3, 2), 0)

    def test_16_bit_png_colour(self) -> None:
        assert near(decode(png_by_hand(80, 48, 16, 2, rows_of_16_bit(scene()))).pixels, scene(), 1)

    def test_multi_page_tiff_uses_the_first_and_says_so(self) -> None:
        decoded = decode(tiff(np.stack([scene(), 255 - scene()]), pages=True, photometric="rgb"))
        assert np.array_equal(decoded.pixels, scene())
        assert decoded.notes == ("the file holds several pages; the first was used",)

    def test_animated_png_and_webp_use_the_first_frame_and_say_so(self) -> None:
        first, second = Image.fromarray(scene()), Image.fromarray(255 - scene())
        for format_, options in (("PNG", {}), ("WEBP", {"lossless": True})):
            decoded = decode(encode(first, format_, save_all=True, append_images=[second], **options))
            assert np.array_equal(decoded.pixels, scene()), format_
            assert decoded.notes == ("the file holds several pages; the first was used",)

    @pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "PA"])
    @pytest.mark.parametrize("format_", ["PNG", "TIFF"])
    def test_fewer_channels(self, mode: str, format_: str) -> None:
        if (mode, format_) == ("PA", "PNG"):
            mode = "P"
        grey = np.where(scene()[..., 0] > 100, 255, 0).astype(np.uint8)
        image = Image.fromarray(grey).convert("P" if mode == "PA" else mode)
        image = image.convert("PA") if mode == "PA" else image
        assert near(decode(encode(image, format_)).pixels, np.repeat(grey[..., None], 3, 2), 0)

    def test_colour_palette(self) -> None:
        image = Image.fromarray(scene()).quantize(8)
        assert near(decode(encode(image, "PNG")).pixels, scene())

    def test_cmyk_jpeg(self) -> None:
        image = Image.fromarray(scene()).convert("CMYK")
        assert near(decode(encode(image, "JPEG", quality=95)).pixels, scene(), 6)

    def test_cmyk_tiff(self) -> None:
        image = Image.fromarray(scene()).convert("CMYK")
        assert near(decode(encode(image, "TIFF")).pixels, scene(), 1)

    def test_lab_tiff(self) -> None:
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        lab = ImageCms.applyTransform(Image.fromarray(scene()), to_lab)
        assert near(decode(encode(lab, "TIFF")).pixels, scene(), 6)

    def test_float_tiff_is_refused(self) -> None:
        with pytest.raises(errors.ImageFormatUnsupported, match="floating-point"):
            decode(tiff(scene()[..., 0].astype(np.float32) / 255))

    def test_32_bit_tiff_is_refused(self) -> None:
        with pytest.raises(errors.ImageFormatUnsupported, match="32-bit"):
            decode(tiff(scene()[..., 0].astype(np.int32) * 100_000))


class TestAlpha:
    def test_over_white(self) -> None:
        alpha = np.full((48, 80, 1), 255, np.uint8)
        alpha[:24], alpha[24:, :40] = 0, 128
        pixels = decode(encode(Image.fromarray(np.dstack([scene(), alpha])), "PNG")).pixels
        assert (pixels[:24] == 255).all()
        assert np.array_equal(pixels[24:, 40:], scene()[24:, 40:])
        assert np.abs(pixels[24:, :40].astype(int) - (148, 148, 227)).max() <= 1

    def test_of_webp_and_tiff(self) -> None:
        alpha = np.zeros((48, 80, 1), np.uint8)
        image = Image.fromarray(np.dstack([scene(), alpha]))
        assert (decode(encode(image, "WEBP", lossless=True, exact=True)).pixels == 255).all()
        assert (decode(encode(image, "TIFF")).pixels == 255).all()

    def test_transparent_palette_entry(self) -> None:
        image = Image.fromarray(np.array([[0, 1]], np.uint8))
        image.putpalette([10, 20, 30, 40, 50, 60])
        assert decode(encode(image, "PNG", transparency=0)).pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]

    def test_transparent_colour(self) -> None:
        image = Image.fromarray(np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8))
        assert decode(encode(image, "PNG", transparency=(10, 20, 30))).pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]


class TestProfiles:
    def test_wide_gamut_goes_to_srgb(self) -> None:
        """A P3-like profile: the same numbers mean stronger colours, so that in sRGB red grows and green falls."""
        profile = rgb_profile((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
        pixels = decode(encode(Image.new("RGB", (40, 40), (200, 100, 100)), "PNG", icc_profile=profile)).pixels
        red, green, _ = pixels[20, 20]
        assert red > 204
        assert green < 98

    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
    def test_swapped_primaries_come_out_swapped(self, format_: str) -> None:
        """A profile whose red primary is green and whose green is red: nothing but applying it can swap the channels."""
        profile = rgb_profile((0.300, 0.600), (0.640, 0.330), (0.150, 0.060))
        options = {"lossless": True} if format_ == "WEBP" else {}
        pixels = decode(encode(Image.new("RGB", (40, 40), (250, 10, 10)), format_, icc_profile=profile, **options)).pixels
        assert pixels[20, 20, 1] > 240
        assert pixels[20, 20, 0] < 40

    def test_srgb_is_left_alone(self) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        assert np.array_equal(decode(encode(Image.fromarray(scene()), "PNG", icc_profile=profile)).pixels, scene())

    def test_a_broken_profile_is_passed_over_and_said(self) -> None:
        decoded = decode(encode(Image.fromarray(scene()), "PNG", icc_profile=b"not a profile"))
        assert np.array_equal(decoded.pixels, scene())
        assert decoded.notes == ("the embedded colour profile could not be applied; sRGB was assumed",)

    def test_grey_with_a_colour_profile(self) -> None:
        """Scanners tag grey pictures with the profile of the colour ones; grey stays grey."""
        profile = rgb_profile((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
        pixels = decode(encode(Image.new("L", (8, 8), 100), "PNG", icc_profile=profile)).pixels
        assert np.abs(pixels.astype(int) - 100).max() <= 2


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
    def test_both_frames(self, format_: str, orientation: int) -> None:
        stored = stored_as(scene(), orientation)
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(format_, {})
        data = encode(Image.fromarray(stored), format_, exif=exif, **options)
        upright, sensor = decode(data, Frame.DISPLAY), decode(data, Frame.SENSOR)
        assert near(upright.pixels, scene())
        assert (upright.width, upright.height, upright.orientation) == (80, 48, orientation)
        assert near(sensor.pixels, stored)
        assert (sensor.height, sensor.width, sensor.orientation) == (*stored.shape[:2], orientation)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_to_sensor_undoes_the_orientation(self, orientation: int) -> None:
        assert np.array_equal(images.to_sensor(scene(), orientation), stored_as(scene(), orientation))
        flat = scene()[..., 0]
        assert np.array_equal(images.to_sensor(flat, orientation), stored_as(scene(), orientation)[..., 0])

    @pytest.mark.parametrize("value", [0, 9, 65535])
    def test_an_impossible_orientation_is_none(self, value: int) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = value
        decoded = decode(encode(Image.fromarray(scene()), "JPEG", exif=exif, quality=95))
        assert near(decoded.pixels, scene())
        assert decoded.orientation == 1

    def test_damaged_exif_does_not_cost_the_photograph(self) -> None:
        for block in (b"Exif\x00\x00garbage that is no TIFF header", b"Exif\x00\x00II*\x00\xff\xff\xff\x7f", b"Exif\x00\x00"):
            decoded = decode(encode(Image.fromarray(scene()), "JPEG", exif=block, quality=95))
            assert near(decoded.pixels, scene())
            assert decoded.orientation == 1

    def test_orientation_survives_profile_and_alpha(self) -> None:
        profile = rgb_profile((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
        alpha = np.full((48, 80, 1), 255, np.uint8)
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        stored = stored_as(np.dstack([scene(), alpha]), 6)
        decoded = decode(encode(Image.fromarray(stored), "PNG", exif=exif, icc_profile=profile))
        assert near(decoded.pixels, scene(), 40)
        assert decoded.pixels.shape == (48, 80, 3)


class TestShrinking:
    @pytest.mark.parametrize(
        ("size", "expected"), [((1600, 1200), (400, 300)), ((1600, 500), (800, 250)), ((300, 200), (300, 200))]
    )
    def test_keeps_both_sides_at_least_as_long_as_asked(self, size: tuple[int, int], expected: tuple[int, int]) -> None:
        data = encode(Image.fromarray(scene()).resize(size), "JPEG")
        decoded = decode(data, shrink_to=250)
        assert decoded.pixels.shape[1::-1] == expected
        assert (decoded.width, decoded.height) == size
        # Four bytes a pixel as Pillow holds them, three as they are answered.
        assert images.inspect(data, LIMITS, shrink_to=250).cost == 7 * expected[0] * expected[1]
        assert images.inspect(data, LIMITS).cost == 7 * size[0] * size[1]

    @pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_other_formats_are_divided_once_they_are_decoded(self, format_: str, orientation: int) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        stored = stored_as(np.asarray(Image.fromarray(scene()).resize((1600, 960))), orientation)
        data = encode(Image.fromarray(stored), format_, exif=exif)
        decoded = decode(data, shrink_to=300)
        assert decoded.pixels.shape == (320, 534, 3)
        assert (decoded.width, decoded.height) == (1600, 960)
        assert near(np.asarray(Image.fromarray(decoded.pixels).resize((80, 48))), scene(), 12)
        assert images.inspect(data, LIMITS, shrink_to=300).cost >= 7 * 1600 * 960, "every pixel is held for a moment"

    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
    def test_looks_the_same(self, format_: str) -> None:
        image = Image.fromarray(scene()).resize((1600, 960), Image.Resampling.NEAREST)
        data = encode(image, format_, **({"quality": 95} if format_ == "JPEG" else {}))
        shrunk = images.resize(decode(data, shrink_to=300).pixels, (48, 80), ResizeRule.SQUASH)
        whole = images.resize(decode(data).pixels, (48, 80), ResizeRule.SQUASH)
        assert np.abs(shrunk.astype(int) - whole).mean() < 1

    def test_turned_photographs_report_the_size_of_their_frame(self) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        data = encode(Image.new("RGB", (1600, 1200)), "JPEG", exif=exif)
        upright, sensor = decode(data, Frame.DISPLAY, 250), decode(data, Frame.SENSOR, 250)
        assert (upright.width, upright.height, upright.pixels.shape) == (1200, 1600, (400, 300, 3))
        assert (sensor.width, sensor.height, sensor.pixels.shape) == (1600, 1200, (300, 400, 3))


class TestResize:
    def test_the_rules(self) -> None:
        wide = np.zeros((10, 30, 3), np.uint8)
        wide[:, 10:20] = 200
        squashed = images.resize(wide, (12, 12), ResizeRule.SQUASH)
        boxed = images.resize(wide, (12, 12), ResizeRule.LETTERBOX)
        cut = images.resize(wide, (12, 12), ResizeRule.CENTER_CROP)
        assert squashed.shape == boxed.shape == cut.shape == (12, 12, 3)
        assert squashed[6, 6, 0] == 200
        assert squashed[6, 0, 0] == squashed[0, 11, 0] == 0
        assert (boxed[:4] == 255).all()
        assert (boxed[8:] == 255).all()
        assert boxed[6, 0, 0] == 0
        assert (cut[:, 3:9] == 200).all()

    def test_the_right_size_is_left_alone(self) -> None:
        pixels = scene()
        assert images.resize(pixels, (48, 80), ResizeRule.LETTERBOX) is pixels


class TestBadInput:
    @pytest.mark.parametrize(
        ("make", "kind", "sentence"),
        [
            (lambda: b"", errors.ImageMissing, "empty"),
            (lambda: b"hello, this is text", errors.ImageUndecodable, "not an image"),
            (lambda: b"\x00" * 100, errors.ImageUndecodable, "not an image"),
            (lambda: encode(Image.fromarray(scene()), "GIF"), errors.ImageFormatUnsupported, "GIF"),
            (lambda: encode(Image.fromarray(scene()), "BMP"), errors.ImageFormatUnsupported, "BMP"),
            (lambda: encode(Image.fromarray(scene()), "ICO"), errors.ImageFormatUnsupported, "ICO"),
            (lambda: encode(Image.fromarray(scene()), "PDF"), errors.ImageFormatUnsupported, "PDF"),
            (lambda: encode(Image.fromarray(scene()), "AVIF"), errors.ImageFormatUnsupported, "AVIF"),
            (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", errors.ImageFormatUnsupported, "SVG"),
            (lambda: b"\xef\xbb\xbf\n<?xml version='1.0'?><svg/>", errors.ImageFormatUnsupported, "SVG"),
            (lambda: b"8BPS\x00\x01" + b"\x00" * 50, errors.ImageFormatUnsupported, "Photoshop"),
            (lambda: b"\x89PNG\r\n\x1a\n", errors.ImageTruncated, "ends before"),
            (lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF", errors.ImageTruncated, "ends before"),
        ],
        ids=["empty", "text", "zeros", "gif", "bmp", "ico", "pdf", "avif", "svg", "xml", "psd", "png-start", "jpeg-start"],
    )
    def test_gets_its_own_error(self, make: Callable[[], bytes], kind: type[errors.MaquetteError], sentence: str) -> None:
        with pytest.raises(kind) as caught:
            decode(make())
        assert sentence in caught.value.detail
        assert type(caught.value) is kind

    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
    @pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
    def test_cut_short(self, format_: str, share: float) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
        options = {"compression": "tiff_lzw"} if format_ == "TIFF" else {}
        data = encode(Image.fromarray(noise), format_, **options)
        with pytest.raises(errors.ImageTruncated):
            decode(data[: int(share * len(data))])

    @pytest.mark.parametrize("format_", ["PNG", "TIFF"])
    def test_damaged(self, format_: str) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
        options = {"compression": "tiff_adobe_deflate"} if format_ == "TIFF" else {}
        data = bytearray(encode(Image.fromarray(noise), format_, **options))
        for position in range(60, len(data) - 300):
            data[position] ^= 0x5A
        with pytest.raises((errors.ImageUndecodable, errors.ImageTruncated)):
            decode(bytes(data))

    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
    def test_flipped_bytes_never_raise_anything_else(self, format_: str) -> None:
        data = encode(Image.fromarray(scene()), format_)
        random = np.random.default_rng(1)
        for _ in range(150):
            broken = bytearray(data)
            for position in random.integers(0, min(len(data), 400), 4):
                broken[position] = random.integers(0, 256)
            try:
                decode(bytes(broken))
            except errors.MaquetteError as error:
                assert "/" not in error.detail
                assert error.detail.endswith(".")

    def test_too_many_bytes(self) -> None:
        data = encode(Image.fromarray(scene()), "PNG")
        with pytest.raises(errors.ImageTooManyBytes, match="send at most"):
            images.decode(data, Limits(max_bytes=len(data) - 1), Frame.DISPLAY)
        images.decode(data, Limits(max_bytes=len(data)), Frame.DISPLAY)

    def test_too_many_pixels(self) -> None:
        data = encode(Image.fromarray(scene()), "PNG")
        with pytest.raises(errors.ImageTooManyPixels, match="80 x 48"):
            images.decode(data, Limits(max_pixels=80 * 48 - 1), Frame.DISPLAY)
        images.decode(data, Limits(max_pixels=80 * 48), Frame.DISPLAY)

    def test_a_bomb_costs_no_memory(self) -> None:
        """60,000 x 60,000 pixels in 100 kB of PNG would be 10 GB; the header alone refuses it."""
        file = bomb()
        assert 80_000 < len(file) < 120_000
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for shrink_to in (None, 224):
            with pytest.raises(errors.ImageTooManyPixels):
                images.decode(file, LIMITS, Frame.DISPLAY, shrink_to=shrink_to)
            with pytest.raises(errors.ImageTooManyPixels):
                images.inspect(file, LIMITS, shrink_to=shrink_to)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_000

    def test_a_compressed_metadata_bomb_is_refused(self) -> None:
        """A PNG whose text or profile inflates to 100 MB is told without inflating it."""
        text = b"Comment\0\0" + zlib.compress(b"a" * 100_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(errors.ImageUndecodable):
            decode(png_by_hand(8, 8, 8, 2, b"\0" * 8 * 25, extra=chunk(b"zTXt", text)))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32_000


def stored_as(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The rows that a viewer turns into ``upright`` when it reads this orientation (EXIF 2.32, 4.6.4)."""
    return {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }[orientation](upright).copy()


def rows_of_16_bit(pixels: np.ndarray) -> bytes:
    wide = (pixels.astype(np.uint16) * 257).astype(">u2")
    return b"".join(b"\0" + row.tobytes() for row in wide)


def rgb_profile(*primaries: tuple[float, float]) -> bytes:
    """A matrix profile, version 2, with these chromaticities, a D50 white and a gamma of 2.2 (ICC.1:2001-04, 6.3.1.1)."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(fixed(value) for value in values)

    white = np.array([0.9642, 1.0, 0.8249])
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    columns = columns * np.linalg.solve(columns, white)
    name = b"made by a test\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * 78
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {b"desc": described, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": xyz(white)}
    tags |= {name: xyz(columns[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        table += signature + struct.pack(">II", start + len(body), len(data))
        body += data
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    head += fixed(white[0]) + fixed(white[1]) + fixed(white[2])
    return head.ljust(128, b"\0") + table + body
