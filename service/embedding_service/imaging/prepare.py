"""Bytes to the model's pixels in one call: probe, decode no more than needed, render."""

from embedding_service.imaging.decode import decode
from embedding_service.imaging.probe import probe
from embedding_service.imaging.profile import Profile
from embedding_service.imaging.render import least_size, render
from embedding_service.imaging.resample import Pixels, Resample, pillow_resample


def prepare(
    data: bytes, profile: Profile, max_pixels: int, resample: Resample = pillow_resample
) -> Pixels:
    """Return uint8 RGB [height, width, 3] of the profile's size, upright.

    Raises:
        ImageRejected: not_an_image, unsupported_format or too_many_pixels.
    """
    header = probe(data, max_pixels)
    picture = decode(data, header, least_size(header, profile), max_pixels)
    return render(picture, profile, resample)
