"""Pictures and films as bytes, for the sinks that show them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


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
