//! Where hostile inputs come from: choices drawn from a seed, so that a test can
//! be repeated, or from the bytes of a fuzzer; and the ways to spoil valid bytes.
//! What is done with the inputs does not live here.

/// A source of choices. The same seed, or the same bytes, makes the same ones.
pub struct Choices<'a> {
    seed: u64,
    bytes: Option<&'a [u8]>,
}

impl<'a> Choices<'a> {
    /// Endless choices out of a seed.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, bytes: None }
    }

    /// Choices out of a fuzzer's bytes; zeros when they are used up.
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { seed: 0, bytes: Some(bytes) }
    }

    /// Whether a fuzzer's bytes are used up.
    pub fn is_over(&self) -> bool {
        self.bytes.is_some_and(<[u8]>::is_empty)
    }

    pub fn fill(&mut self, out: &mut [u8]) {
        match &mut self.bytes {
            Some(rest) => {
                let (now, later) = rest.split_at(rest.len().min(out.len()));
                *rest = later;
                out.fill(0);
                out[..now.len()].copy_from_slice(now);
            }
            None => {
                for eight in out.chunks_mut(8) {
                    let random = self.split_mix().to_le_bytes();
                    eight.copy_from_slice(&random[..eight.len()]);
                }
            }
        }
    }

    /// SplitMix64.
    fn split_mix(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn u64(&mut self) -> u64 {
        let mut eight = [0; 8];
        self.fill(&mut eight);
        u64::from_le_bytes(eight)
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // One byte is enough for most choices, and a fuzzer has few.
        let random = if bound <= 256 && self.bytes.is_some() {
            u64::from(self.array::<1>()[0])
        } else {
            self.u64()
        };
        usize::try_from(random % bound as u64).unwrap_or_default()
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }

    /// A number at or near an end of its range, or any.
    pub fn extreme(&mut self) -> u64 {
        let near = self.below(4) as u64;
        match self.below(8) {
            0 => near,
            1 => u64::MAX - near,
            2 => u64::from(u32::MAX) - 1 + near,
            3 => (1 << 63) - 1 + near,
            4 => (1 << self.below(64)) - near.min(1),
            5 => 1_000_000 - 2 + near,
            _ => self.u64() >> self.below(64),
        }
    }

    /// The low half of [`extreme`](Self::extreme).
    #[allow(clippy::cast_possible_truncation)] // that is what it is for
    pub fn extreme32(&mut self) -> u32 {
        self.extreme() as u32
    }

    /// Random bytes, mostly few, at most 4000.
    pub fn noise(&mut self, out: &mut Vec<u8>) {
        let longest = if self.percent(2) { 4000 } else { 48 };
        let length = self.below(longest + 1);
        out.clear();
        out.resize(length, 0);
        self.fill(out);
        // Small numbers get further into decoders than large ones.
        if self.percent(50) {
            for byte in out {
                *byte &= 0x0f;
            }
        }
    }

    /// Spoils `bytes` in one to three ways; `other` is for splicing.
    pub fn spoil(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(3) {
            self.spoil_once(bytes, other);
        }
    }

    fn spoil_once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let place = self.below(bytes.len() + 1);
        let span = place..(place + 1 + self.below(16)).min(bytes.len());
        match self.below(10) {
            0 => bytes.truncate(place),
            1 => {
                let mut more = vec![0; 1 + self.below(8)];
                self.fill(&mut more);
                bytes.extend(more);
            }
            2 => {
                let from = self.below(other.len() + 1);
                let until = (from + self.below(64)).min(other.len());
                bytes.splice(span.start.min(span.end)..span.end, other[from..until].to_vec());
            }
            3 if !span.is_empty() => drop(bytes.drain(span)),
            4 if !span.is_empty() => {
                let copy = bytes[span.clone()].to_vec();
                bytes.splice(place..place, copy);
            }
            // A number in more bytes than it needs.
            5 if place < bytes.len() => {
                let number = bytes[place];
                let zeros = *self.pick(&[1, 3, 7, 15]);
                let marker = [(1, 251), (3, 252), (7, 253), (15, 254)]
                    .iter()
                    .find(|(width, _)| *width == zeros)
                    .map_or(251, |(_, marker)| *marker);
                let long = [marker, number].into_iter().chain(std::iter::repeat_n(0, zeros));
                bytes.splice(place..=place, long);
            }
            // A length or a number blown up.
            6 if place < bytes.len() => {
                let marker = *self.pick(&[251u8, 252, 253, 254, 255]);
                let width = [2, 4, 8, 16, 0][usize::from(marker - 251)];
                let huge = if self.percent(50) {
                    vec![0xff; width]
                } else {
                    let mut some = vec![0; width];
                    self.fill(&mut some);
                    some
                };
                bytes.splice(place..=place, std::iter::once(marker).chain(huge));
            }
            7 if place < bytes.len() => bytes[place] = self.array::<1>()[0],
            8 if place < bytes.len() => {
                bytes[place] = *self.pick(&[0, 1, 2, 127, 128, 250, 251, 252, 253, 254, 255]);
            }
            _ if place < bytes.len() => bytes[place] ^= 1 << self.below(8),
            _ => bytes.push(self.array::<1>()[0]),
        }
    }

    /// One hostile input: noise, or one of `samples` spoiled, or as it is.
    pub fn input(&mut self, samples: &[Vec<u8>], out: &mut Vec<u8>) {
        match self.below(20) {
            0..5 => self.noise(out),
            5 => out.clone_from(self.pick(samples)),
            _ => {
                out.clone_from(self.pick(samples));
                let other = self.below(samples.len());
                self.spoil(out, &samples[other]);
            }
        }
    }
}

/// Says which seed a failing case had.
struct Case<'a>(&'a str, u64);

impl Drop for Case<'_> {
    #[allow(clippy::print_stderr)] // a failure has to be repeatable
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} failed; repeat it with HOSTILE_SEED={}", self.0, self.1);
        }
    }
}

/// Runs `case` for `count` seeds, or for the one that `HOSTILE_SEED` names.
pub fn many(name: &str, count: u64, mut case: impl FnMut(&mut Choices<'_>)) {
    let only = std::env::var("HOSTILE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..count, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let _case = Case(name, seed);
        case(&mut Choices::seeded(seed.wrapping_mul(0xd129_42b7_5ad4_e6b5)));
    }
}
