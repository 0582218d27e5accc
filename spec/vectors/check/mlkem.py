"""ML-KEM-768 as in FIPS 203, in plain numbers: slow, not in constant time, and for
comparing with vectors only. X-Wing is in `xwing.py`."""

import hashlib

Q, K, ETA, DU, DV = 3329, 3, 2, 10, 4
BITREV = [int(f"{i:07b}"[::-1], 2) for i in range(128)]
ZETA = [pow(17, power, Q) for power in BITREV]
GAMMA = [pow(17, 2 * power + 1, Q) for power in BITREV]


def hash_g(data):
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def hash_h(data):
    return hashlib.sha3_256(data).digest()


def shake256(data, length):
    return hashlib.shake_256(data).digest(length)


def bits(data):
    return [byte >> place & 1 for byte in data for place in range(8)]


def byte_encode(width, numbers):
    whole = sum(number << width * place for place, number in enumerate(numbers))
    return whole.to_bytes(32 * width, "little")


def byte_decode(width, data):
    whole = int.from_bytes(data, "little")
    return [whole >> width * place & 2**width - 1 for place in range(256)]


def compress(width, numbers):
    return [((number << width + 1) + Q) // (2 * Q) % 2**width for number in numbers]


def decompress(width, numbers):
    return [(number * Q * 2 + 2**width) >> width + 1 for number in numbers]


def sample_ntt(seed):
    stream = hashlib.shake_128(seed).digest(2016)
    out = []
    for a, b, c in zip(stream[::3], stream[1::3], stream[2::3]):
        out += [number for number in (a + 256 * (b % 16), b // 16 + 16 * c) if number < Q]
        if len(out) >= 256:
            return out[:256]
    raise ValueError("the stream was too short")


def sample_cbd(seed, counter):
    stream = bits(shake256(seed + bytes([counter]), 64 * ETA))
    pairs = [stream[place : place + 4] for place in range(0, 1024, 4)]
    return [(a + b - c - d) % Q for a, b, c, d in pairs]


def ntt(numbers):
    out, turn, length = list(numbers), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            for place in range(start, start + length):
                part = ZETA[turn] * out[place + length] % Q
                out[place + length] = (out[place] - part) % Q
                out[place] = (out[place] + part) % Q
            turn += 1
        length //= 2
    return out


def ntt_back(numbers):
    out, turn, length = list(numbers), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            for place in range(start, start + length):
                part = out[place]
                out[place] = (part + out[place + length]) % Q
                out[place + length] = ZETA[turn] * (out[place + length] - part) % Q
            turn -= 1
        length *= 2
    return [number * 3303 % Q for number in out]


def multiply(one, other):
    out = []
    for place, gamma in enumerate(GAMMA):
        a, b = one[2 * place : 2 * place + 2]
        c, d = other[2 * place : 2 * place + 2]
        out += [(a * c + b * d * gamma) % Q, (a * d + b * c) % Q]
    return out


def add(*polynomials):
    return [sum(numbers) % Q for numbers in zip(*polynomials)]


def dot(row, column):
    return add(*(multiply(one, other) for one, other in zip(row, column)))


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def key_pair(d, z):
    rho, sigma = hash_g(d + bytes([K]))
    rows = matrix(rho)
    secret = [ntt(sample_cbd(sigma, counter)) for counter in range(K)]
    error = [ntt(sample_cbd(sigma, K + counter)) for counter in range(K)]
    public = [add(dot(row, secret), noise) for row, noise in zip(rows, error)]
    encapsulation = b"".join(byte_encode(12, part) for part in public) + rho
    return encapsulation, (secret, encapsulation, z)


def passes_modulus_check(key):
    numbers = [n for at in range(0, 384 * K, 384) for n in byte_decode(12, key[at : at + 384])]
    return max(numbers) < Q


def encrypt(key, message, random):
    public = [byte_decode(12, key[at : at + 384]) for at in range(0, 384 * K, 384)]
    rows = matrix(key[384 * K :])
    y = [ntt(sample_cbd(random, counter)) for counter in range(K)]
    noise = [sample_cbd(random, K + counter) for counter in range(K)]
    u = [add(ntt_back(dot([row[i] for row in rows], y)), noise[i]) for i in range(K)]
    v = add(
        ntt_back(dot(public, y)),
        sample_cbd(random, 2 * K),
        decompress(1, bits(message)),
    )
    first = b"".join(byte_encode(DU, compress(DU, part)) for part in u)
    return first + byte_encode(DV, compress(DV, v))


def encapsulate(key, message):
    secret, random = hash_g(message + hash_h(key))
    return secret, encrypt(key, message, random)


def decapsulate(private, ciphertext):
    secret, key, z = private
    size = 32 * DU
    u = [
        ntt(decompress(DU, byte_decode(DU, ciphertext[at : at + size])))
        for at in range(0, size * K, size)
    ]
    v = decompress(DV, byte_decode(DV, ciphertext[size * K :]))
    rest = add(v, [-number for number in ntt_back(dot(secret, u))])
    message = byte_encode(1, compress(1, rest))
    shared, random = hash_g(message + hash_h(key))
    if encrypt(key, message, random) == ciphertext:
        return shared
    return shake256(z + ciphertext, 32)
