"""A picture to the pixels that the model wants: uint8 RGB, exactly the model's size.

Agreement with open_clip's own transform is a contract (mean absolute difference at most 1.5 of
255): vectors are stored for years and compared with vectors from elsewhere.
"""

import cv2
import numpy as np
from PIL import Image

from embedding_service.imaging.decode import Picture, Pixels
from embedding_service.imaging.geometry import Placement, place
from embedding_service.imaging.orientation import seen_size, stored_window, turn
from embedding_service.imaging.probe import Header
from embedding_service.imaging.profile import Profile
from embedding_service.imaging.resample import Resample, pillow_resample, resize_window


def least_size(header: Header, profile: Profile) -> tuple[int, int]:
    """Return (width, height) as stored that the picture is resized to: what decode must cover."""
    if not profile.antialias:
        return header.width, header.height
    seen = seen_size(header.width, header.height, header.orientation)
    resized = place(*seen, profile.size, profile.resize_mode).resized
    return seen_size(*resized, header.orientation)


def render(picture: Picture, profile: Profile, resample: Resample = pillow_resample) -> Pixels:
    """Return uint8 RGB [height, width, 3] of the profile's size, turned upright."""
    if not profile.antialias:
        return _render_origin(picture, profile)
    whole = seen_size(*picture.size, picture.orientation)
    placement = place(*whole, profile.size, profile.resize_mode)
    pixels = turn(_resized(picture, placement, profile, resample), picture.orientation)
    if pixels.shape[1::-1] == profile.size:
        return pixels
    return _on_canvas(pixels, placement, profile, _fill(picture, profile.fill_color))


def _resized(
    picture: Picture, placement: Placement, profile: Profile, resample: Resample
) -> Pixels:
    """Resize as stored; only the small result is turned."""
    orientation = picture.orientation
    window = stored_window(placement.window, *placement.resized, orientation)
    resized = seen_size(*placement.resized, orientation)
    if isinstance(picture.raster, np.ndarray):
        return resample(picture.raster, picture.extent, resized, window, profile.interpolation)
    image = picture.raster
    if image.mode in _OWN_MODES:
        image = resize_window(image, picture.extent, resized, window, profile.interpolation)
        return np.asarray(_rgb(image))
    pixels = np.asarray(_rgb(image))
    return resample(pixels, picture.extent, resized, window, profile.interpolation)


_OWN_MODES = ("1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16")
"""Modes that Pillow resizes as they are; open_clip's transform converts to RGB only afterwards."""


def _rgb(image: Image.Image) -> Image.Image:
    # A palette's transparency is dropped by convert("RGB") as open_clip does; with it in place
    # Pillow would also warn for each image.
    image.info.pop("transparency", None)
    return image.convert("RGB")


def _fill(picture: Picture, value: int) -> Pixels:
    """Return the padding as RGB [3]: open_clip pads in the picture's own mode, then converts."""
    if isinstance(picture.raster, np.ndarray) or picture.raster.mode not in _OWN_MODES:
        return np.full(3, value, np.uint8)
    image = picture.raster
    bands = len(image.getbands())
    pixel = Image.new(image.mode, (1, 1), value if bands == 1 else (value,) * bands)
    palette = image.getpalette() if image.mode == "P" else None
    if palette is not None:
        pixel.putpalette(palette)
    colour: Pixels = np.asarray(_rgb(pixel))[0, 0]
    return colour


def _on_canvas(pixels: Pixels, placement: Placement, profile: Profile, fill: Pixels) -> Pixels:
    width, height = profile.size
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = fill
    left, top = placement.at
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def _render_origin(picture: Picture, profile: Profile) -> Pixels:
    """The origin's way: OpenCV's cubic, squashed, without antialiasing."""
    raster = picture.raster
    pixels = raster if isinstance(raster, np.ndarray) else np.asarray(_rgb(raster))
    upright = np.ascontiguousarray(turn(pixels, picture.orientation))
    return cv2.resize(upright, profile.size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
