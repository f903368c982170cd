"""Numbers of bytes as people say them."""

_UNITS = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10}


def size(count: int) -> str:
    """`100 MB`, `32 MiB`: exact where one of these units fits, else megabytes to a tenth, or bytes where it is less."""
    for unit, factor in _UNITS.items():
        if count >= factor and count % factor == 0:
            return f"{count // factor:,} {unit}"
    return f"{count / _UNITS['MB']:,.1f} MB" if count > _UNITS["MB"] else f"{count:,} bytes"
