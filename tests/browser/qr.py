"""Reads QR codes from screenshots."""

import io

import zxingcpp
from PIL import Image


def read_qr(picture: bytes) -> str | None:
    """The text of the QR code in a picture; None where there is none."""
    with Image.open(io.BytesIO(picture)) as image:
        found = zxingcpp.read_barcodes(image.convert("L"))
    return found[0].text if found else None
