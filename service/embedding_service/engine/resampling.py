"""torch's antialiased resize of uint8 pixels: Pillow's result (to rounding), five times as fast.

It satisfies `imaging.resample.Resample`. The gain is decode time: on a full-HD JPEG the resize
is a third of the work with Pillow and a tenth with this.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from embedding_service.imaging.geometry import Window
from embedding_service.imaging.profile import Interpolation
from embedding_service.imaging.resample import pillow_resample

MAX_WASTE: Final = 4
"""Above this many computed pixels for each kept one, Pillow's window resize is the faster way.

It also bounds memory: a picture of 1 x 30 000 pixels would be resized to 224 x 6 720 000.
"""

_KERNELS: Final = {
    "bicubic": torch.ops.aten._upsample_bicubic2d_aa,
    "bilinear": torch.ops.aten._upsample_bilinear2d_aa,
}


def torch_resample(
    pixels: npt.NDArray[np.uint8],
    extent: tuple[float, float],
    resized: tuple[int, int],
    window: Window,
    interpolation: Interpolation,
) -> npt.NDArray[np.uint8]:
    """Resize and cut, as `Resample` says. Call it without autograd, in a single-thread worker."""
    width, height = resized
    if width * height > MAX_WASTE * window.width * window.height:
        return pillow_resample(pixels, extent, resized, window, interpolation)
    # torch must not see memory that another library lent read-only.
    own = np.require(pixels, requirements="W")
    source = torch.from_numpy(own).permute(2, 0, 1).unsqueeze(0)
    scales = height / extent[1], width / extent[0]
    whole = _KERNELS[interpolation](source, [height, width], False, *scales)
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    result: npt.NDArray[np.uint8] = whole[0].permute(1, 2, 0)[rows, columns].numpy()
    return result
