//! 32 bytes at a time, from any place on: how they compare with others, and which of them are what, as one bit each.
//!
//! As in [`super::lanes`] three machines answer the same questions: AVX2 where the processor has it, SSE2, which every x86-64
//! has, and single bytes, of which the compiler may make what it can, anywhere else. Bit n of an answer is byte n.

#![allow(unsafe_code)] // the vector instructions; each use says why it is sound

/// The bytes of one window.
pub(super) type Bytes = [u8; WIDTH];

/// How many bytes a window has.
pub(super) const WIDTH: usize = 32;

/// The upper bound of bytes that may be any text: as it is, in a string, and not beyond ASCII. Quotes and backslashes are
/// within the bounds and do not fit all the same.
pub(super) const TEXT: u8 = 0x7f;

/// One window in registers.
pub(super) trait Window: Copy {
    /// Takes up a window.
    fn load(bytes: &Bytes) -> Self;

    /// The bytes that are below those of `low` or above those of `high`; where `high` is [`TEXT`], quotes and
    /// backslashes too.
    fn misfits(self, low: Self, high: Self) -> u32;

    /// The bytes at which text ends that stands in a string as it is and is ASCII: quotes, backslashes, control characters and
    /// what is beyond ASCII.
    fn ends_of_text(self) -> u32;

    /// The decimal digits.
    fn digits(self) -> u32;
}

/// A window of which each byte is looked at by itself, for machines of which nothing else is known.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(target_arch = "x86_64", allow(dead_code))]
pub(super) struct Single(Bytes);

/// One bit for each byte for which this holds.
#[inline(always)]
fn mask(is: impl Fn(usize) -> bool) -> u32 {
    (0..WIDTH).fold(0, |mask, at| mask | u32::from(is(at)) << at)
}

impl Window for Single {
    #[inline(always)]
    fn load(bytes: &Bytes) -> Self {
        Self(*bytes)
    }

    #[inline(always)]
    fn misfits(self, low: Self, high: Self) -> u32 {
        mask(|at| {
            let (byte, low, high) = (self.0[at], low.0[at], high.0[at]);
            byte < low || byte > high || high == TEXT && matches!(byte, b'"' | b'\\')
        })
    }

    #[inline(always)]
    fn ends_of_text(self) -> u32 {
        mask(|at| !matches!(self.0[at], 0x20..0x80) || matches!(self.0[at], b'"' | b'\\'))
    }

    #[inline(always)]
    fn digits(self) -> u32 {
        mask(|at| self.0[at].is_ascii_digit())
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64 as arch;
    use std::arch::x86_64::{__m128i, __m256i};

    use super::{Bytes, TEXT, Window};

    /// A window in one register. *Invariant:* is only made where the processor is known to have AVX2, in functions that are
    /// compiled for it, into which the methods are inlined.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Avx2(__m256i);

    /// A window in two registers, with what every processor of this architecture has.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Sse2([__m128i; 2]);

    impl Avx2 {
        /// The high bits of the bytes.
        #[inline(always)]
        fn gather(bytes: __m256i) -> u32 {
            // SAFETY: there is AVX2, by the invariant of the type.
            unsafe { arch::_mm256_movemask_epi8(bytes) as u32 }
        }

        #[inline(always)]
        fn all(byte: u8) -> __m256i {
            // SAFETY: as in `gather`.
            unsafe { arch::_mm256_set1_epi8(byte as i8) }
        }
    }

    impl Window for Avx2 {
        #[inline(always)]
        fn load(bytes: &Bytes) -> Self {
            // SAFETY: the window has 32 bytes, the load asks for no alignment, and whoever names this type has made sure
            // of AVX2.
            Self(unsafe { arch::_mm256_loadu_si256(bytes.as_ptr().cast()) })
        }

        #[inline(always)]
        fn misfits(self, low: Self, high: Self) -> u32 {
            // SAFETY: as in `gather`.
            unsafe {
                let bounded = arch::_mm256_min_epu8(arch::_mm256_max_epu8(self.0, low.0), high.0);
                let within = arch::_mm256_cmpeq_epi8(bounded, self.0);
                let quotes = arch::_mm256_cmpeq_epi8(self.0, Self::all(b'"'));
                let slashes = arch::_mm256_cmpeq_epi8(self.0, Self::all(b'\\'));
                let text = arch::_mm256_cmpeq_epi8(high.0, Self::all(TEXT));
                let ends = arch::_mm256_and_si256(arch::_mm256_or_si256(quotes, slashes), text);
                !Self::gather(arch::_mm256_andnot_si256(ends, within))
            }
        }

        #[inline(always)]
        fn ends_of_text(self) -> u32 {
            // SAFETY: as in `gather`. Bytes beyond ASCII are below 0x20 as well if the sign counts.
            unsafe {
                let controls = arch::_mm256_cmpgt_epi8(Self::all(0x20), self.0);
                let quotes = arch::_mm256_cmpeq_epi8(self.0, Self::all(b'"'));
                let slashes = arch::_mm256_cmpeq_epi8(self.0, Self::all(b'\\'));
                Self::gather(arch::_mm256_or_si256(arch::_mm256_or_si256(quotes, slashes), controls))
            }
        }

        #[inline(always)]
        fn digits(self) -> u32 {
            // SAFETY: as in `gather`.
            unsafe {
                let from_zero = arch::_mm256_sub_epi8(self.0, Self::all(b'0'));
                let bounded = arch::_mm256_min_epu8(from_zero, Self::all(9));
                Self::gather(arch::_mm256_cmpeq_epi8(bounded, from_zero))
            }
        }
    }

    impl Sse2 {
        /// The high bits of the bytes of both halves.
        #[inline(always)]
        fn gather(parts: [__m128i; 2]) -> u32 {
            // SAFETY: every processor of this architecture has SSE2.
            let [low, high] = parts.map(|part| unsafe { arch::_mm_movemask_epi8(part) } as u32);
            low | high << 16
        }

        #[inline(always)]
        fn all(byte: u8) -> __m128i {
            // SAFETY: as in `gather`.
            unsafe { arch::_mm_set1_epi8(byte as i8) }
        }
    }

    impl Window for Sse2 {
        #[inline(always)]
        fn load(bytes: &Bytes) -> Self {
            let start = bytes.as_ptr().cast::<__m128i>();
            // SAFETY: the window has 32 bytes, of which each load takes its half, without asking for alignment.
            Self(std::array::from_fn(|at| unsafe { arch::_mm_loadu_si128(start.add(at)) }))
        }

        #[inline(always)]
        fn misfits(self, low: Self, high: Self) -> u32 {
            // SAFETY: as in `gather`.
            !Self::gather(std::array::from_fn(|at| unsafe {
                let (bytes, high) = (self.0[at], high.0[at]);
                let bounded = arch::_mm_min_epu8(arch::_mm_max_epu8(bytes, low.0[at]), high);
                let within = arch::_mm_cmpeq_epi8(bounded, bytes);
                let quotes = arch::_mm_cmpeq_epi8(bytes, Self::all(b'"'));
                let slashes = arch::_mm_cmpeq_epi8(bytes, Self::all(b'\\'));
                let text = arch::_mm_cmpeq_epi8(high, Self::all(TEXT));
                let ends = arch::_mm_and_si128(arch::_mm_or_si128(quotes, slashes), text);
                arch::_mm_andnot_si128(ends, within)
            }))
        }

        #[inline(always)]
        fn ends_of_text(self) -> u32 {
            // SAFETY: as in `gather`. Bytes beyond ASCII are below 0x20 as well if the sign counts.
            Self::gather(self.0.map(|part| unsafe {
                let controls = arch::_mm_cmpgt_epi8(Self::all(0x20), part);
                let quotes = arch::_mm_cmpeq_epi8(part, Self::all(b'"'));
                let slashes = arch::_mm_cmpeq_epi8(part, Self::all(b'\\'));
                arch::_mm_or_si128(arch::_mm_or_si128(quotes, slashes), controls)
            }))
        }

        #[inline(always)]
        fn digits(self) -> u32 {
            // SAFETY: as in `gather`.
            Self::gather(self.0.map(|part| unsafe {
                let from_zero = arch::_mm_sub_epi8(part, Self::all(b'0'));
                arch::_mm_cmpeq_epi8(arch::_mm_min_epu8(from_zero, Self::all(9)), from_zero)
            }))
        }
    }
}

/// The machine that is there without asking.
#[cfg(target_arch = "x86_64")]
pub(super) type Plain = Sse2;
/// The machine that is there without asking.
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Plain = Single;

#[cfg(test)]
mod tests {
    use super::*;

    /// Each answer against what the bytes themselves say, which is how [`Single`] finds them.
    #[inline(always)]
    fn check<W: Window>(bytes: &Bytes, low: &Bytes, high: &Bytes) {
        let (own, plain) = (W::load(bytes), Single::load(bytes));
        assert_eq!(own.ends_of_text(), plain.ends_of_text());
        assert_eq!(own.digits(), plain.digits());
        let misfits = own.misfits(W::load(low), W::load(high));
        assert_eq!(misfits, plain.misfits(Single::load(low), Single::load(high)));
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn check_avx2(bytes: &Bytes, low: &Bytes, high: &Bytes) {
        check::<Avx2>(bytes, low, high);
    }

    #[test]
    fn every_machine_knows_every_byte() {
        let bounds =
            [(0, 0xff), (0x20, TEXT), (b'0', b'9'), (b'"', b'"'), (b'\\', b'\\'), (0x80, 0xfe), (TEXT, TEXT)];
        for start in (0..=u8::MAX).step_by(WIDTH) {
            let bytes = std::array::from_fn(|at| start + at as u8);
            for turn in 0..bounds.len() {
                let of = |at: usize| bounds[(at + turn) % bounds.len()];
                let (low, high) = (std::array::from_fn(|at| of(at).0), std::array::from_fn(|at| of(at).1));
                for (at, byte) in bytes.iter().enumerate() {
                    let fits = (low[at]..=high[at]).contains(byte);
                    let is_text = !(high[at] == TEXT && [b'"', b'\\'].contains(byte));
                    let misfits = Single::load(&bytes).misfits(Single::load(&low), Single::load(&high));
                    assert_eq!(misfits >> at & 1 == 0, fits && is_text);
                }
                check::<Single>(&bytes, &low, &high);
                #[cfg(target_arch = "x86_64")]
                {
                    check::<Sse2>(&bytes, &low, &high);
                    if is_x86_feature_detected!("avx2") {
                        // SAFETY: the processor has what the function is compiled for.
                        unsafe { check_avx2(&bytes, &low, &high) };
                    }
                }
            }
        }
    }
}
