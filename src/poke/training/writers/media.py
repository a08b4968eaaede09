"""Pictures and films as bytes, for the sinks that show them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def to_pixels(array: Any, *, num_dimensions: int) -> NDArray[np.uint8]:
    """Return pixels with a last axis of 1, 3 or 4 channels.

    Args:
        array: uint8, or floats from 0 to 1, which are clipped; the axis of channels may lack.
        num_dimensions: axes of the result, 3 for a picture and 4 for a film.

    Raises:
        ValueError: the shape is that of no picture or film.
    """
    pixels = np.asarray(array)
    if pixels.ndim == num_dimensions - 1:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != num_dimensions or pixels.shape[-1] not in (1, 3, 4) or not pixels.size:
        kind = "picture" if num_dimensions == 3 else "film"
        raise ValueError(f"an array of shape {np.shape(array)} is no {kind}")
    if pixels.dtype.kind == "f":
        pixels = np.rint(np.nan_to_num(pixels).clip(0, 1) * 255)
    return pixels.astype(np.uint8)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture, `[height, width, channels]`, as PNG."""
    buffer = io.BytesIO()
    _picture(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def encode_gif(pixels: NDArray[np.uint8], frames_per_second: float) -> bytes:
    """Return a film, `[time, height, width, channels]`, as an endless animated GIF."""
    first, *rest = (_picture(frame) for frame in pixels)
    buffer = io.BytesIO()
    duration_ms = round(1000 / frames_per_second)
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=duration_ms, loop=0)
    return buffer.getvalue()


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
