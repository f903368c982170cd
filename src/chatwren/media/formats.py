"""Formats that look alike, by the extensions of their names, the most usual first: those of a container, and texts."""

_OFFICE = "application/vnd.openxmlformats-officedocument."
_WORD, _EXCEL, _POWERPOINT = "application/vnd.ms-word.", "application/vnd.ms-excel.", "application/vnd.ms-powerpoint."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_MACROS = "macroEnabled.12"

ZIPPED = {
    "docx": _OFFICE + "wordprocessingml.document",
    "dotx": _OFFICE + "wordprocessingml.template",
    "docm": _WORD + "document." + _MACROS,
    "dotm": _WORD + "template." + _MACROS,
    "xlsx": _OFFICE + "spreadsheetml.sheet",
    "xltx": _OFFICE + "spreadsheetml.template",
    "xlsm": _EXCEL + "sheet." + _MACROS,
    "xltm": _EXCEL + "template." + _MACROS,
    "xlsb": _EXCEL + "sheet.binary." + _MACROS,
    "pptx": _OFFICE + "presentationml.presentation",
    "ppsx": _OFFICE + "presentationml.slideshow",
    "potx": _OFFICE + "presentationml.template",
    "pptm": _POWERPOINT + "presentation." + _MACROS,
    "ppsm": _POWERPOINT + "slideshow." + _MACROS,
    "potm": _POWERPOINT + "template." + _MACROS,
    "vsdx": "application/vnd.ms-visio.drawing",
    "odt": _OPEN_DOCUMENT + "text",
    "ott": _OPEN_DOCUMENT + "text-template",
    "ods": _OPEN_DOCUMENT + "spreadsheet",
    "ots": _OPEN_DOCUMENT + "spreadsheet-template",
    "odp": _OPEN_DOCUMENT + "presentation",
    "otp": _OPEN_DOCUMENT + "presentation-template",
    "odg": _OPEN_DOCUMENT + "graphics",
    "odf": _OPEN_DOCUMENT + "formula",
    "epub": "application/epub+zip",
    "apk": "application/vnd.android.package-archive",
    "jar": "application/java-archive",
    "kmz": "application/vnd.google-earth.kmz",
    "pages": "application/vnd.apple.pages",
    "numbers": "application/vnd.apple.numbers",
    "key": "application/vnd.apple.keynote",
}
OLE = {
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "msg": "application/vnd.ms-outlook",
    "vsd": "application/vnd.visio",
}
# TIFF may have many pages or be a camera's raw picture: not for a chat bubble.
TAGGED_IMAGES = {"dng": "image/x-adobe-dng", "nef": "image/x-nikon-nef", "cr2": "image/x-canon-cr2"}
WINDOWS_MEDIA = {"wmv": "video/x-ms-wmv", "wma": "audio/x-ms-wma"}
TEXTS = {
    "txt": "text/plain",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "html": "text/html",
    "htm": "text/html",
    "vcf": "text/vcard",
    "ics": "text/calendar",
    "json": "application/json",
    "xml": "application/xml",
    "svg": "image/svg+xml",
}
_OTHER_NAMES = {
    "text/x-vcard": "vcf",
    "text/xml": "xml",
    "text/json": "json",
    "text/x-csv": "csv",
    "application/csv": "csv",
}


def extension_of(formats: dict[str, str], mimetype: str) -> str:
    """The most usual extension of a type among these formats; "" of one that is none of them."""
    known = next((extension for extension, one in formats.items() if one.lower() == mimetype), "")
    other = _OTHER_NAMES.get(mimetype, "")
    return known or (other if other in formats else "")
