"""edwards25519 as in RFC 8032, in plain numbers: slow, not in constant time, and
for comparing with vectors only. SPAKE2 over it is in `signaling.py`."""

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1)


def add(one, other):
    (x1, y1), (x2, y2) = one, other
    part = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + part, P - 2, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - part, P - 2, P)
    return x % P, y % P


def negate(point):
    return -point[0] % P, point[1]


def multiply(scalar, point):
    out = IDENTITY
    while scalar:
        if scalar % 2:
            out = add(out, point)
        point = add(point, point)
        scalar //= 2
    return out


def compress(point):
    x, y = point
    return (y | (x % 2) << 255).to_bytes(32, "little")


def decompress(data):
    """The point of its one encoding, or nothing."""
    if len(data) != 32:
        return None
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number % 2**255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    if x * x % P != square or (x == 0 and sign):
        return None
    return (-x % P if x % 2 != sign else x), y


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
