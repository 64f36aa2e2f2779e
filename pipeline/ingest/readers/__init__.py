"""One image file in, grey pixels and the few facts worth keeping out; or a refusal with a reason.

Formats are told apart by content, never by name. Whatever goes in, what comes out is bright = dense,
uint8 for files of up to 8 bits a sample and uint16 above, using the full range of that type.
"""

from pipeline.ingest.readers.image import ImageHeader, ReadImage
from pipeline.ingest.readers.limits import ReadLimits
from pipeline.ingest.readers.read import load_bytes, read_bytes, read_header, read_image

__all__ = ["ImageHeader", "ReadImage", "ReadLimits", "load_bytes", "read_bytes", "read_header", "read_image"]
