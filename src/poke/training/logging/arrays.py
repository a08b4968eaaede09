"""Reading logged arrays: distributions, pictures and films as numpy arrays that every sink can show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_samples(values: Any) -> NDArray[np.float64]:
    """Return the finite values of an array or tensor of any shape, in one dimension.

    Raises:
        ValueError: there are none.
    """
    import numpy as np

    samples = _read(values).ravel().astype(np.float64)
    finite = samples[np.isfinite(samples)]
    if not finite.size:
        raise ValueError("it has no finite values")
    return finite


def read_pixels(values: Any, num_dimensions: int) -> NDArray[np.uint8]:
    """Return a picture or film with a last axis of 1, 3 or 4 channels.

    Args:
        values: array or tensor of uint8, or of floats from 0 to 1, which are clipped; a last axis
            of one channel may lack.
        num_dimensions: axes of the result: 3 of a picture, 4 of a film.

    Raises:
        ValueError: the shape is that of no picture or film.
    """
    import numpy as np

    array = _read(values)
    pixels = array[..., np.newaxis] if array.ndim == num_dimensions - 1 else array
    if pixels.ndim != num_dimensions or pixels.shape[-1] not in (1, 3, 4) or not pixels.size:
        kind = "picture" if num_dimensions == 3 else "film"
        raise ValueError(f"an array of shape {array.shape} is no {kind}")
    if pixels.dtype.kind == "f":
        pixels = np.rint(np.nan_to_num(pixels).clip(0, 1) * 255)
    return pixels.astype(np.uint8)


def _read(values: Any) -> NDArray[Any]:
    import numpy as np

    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an array of {array.dtype} holds no numbers")
    return array
