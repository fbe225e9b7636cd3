//! 64 bytes at a time: which of them are what, as one bit each.
//!
//! Three machines answer the same questions: AVX2 where the processor has it, SSE2, which every x86-64 has, and plain
//! words of eight bytes anywhere else. Bit n of an answer is byte n of the block.

#![allow(unsafe_code)] // the vector instructions; each use says why it is sound

/// The bytes of one block.
pub(super) type Block = [u8; 64];

/// One block in registers.
pub(super) trait Lanes: Copy {
    /// Takes up a block.
    fn load(block: &Block) -> Self;

    /// The bytes that are `byte`.
    fn eq(self, byte: u8) -> u64;

    /// The block with bit 5 set in every byte, which makes `[` the same as `{` and `]` as `}`.
    fn folded(self) -> Self;

    /// The decimal digits.
    fn digits(self) -> u64;

    /// The bytes in which bit 5 is set, which tells curly brackets from square ones.
    fn curly(self) -> u64;

    /// The bytes below 0x20.
    fn controls(self) -> u64;

    /// Not 0 if any byte is below 0x20, beyond ASCII, or a backslash.
    fn unusual(self) -> u64;

    /// Whether any byte is beyond ASCII.
    fn is_beyond_ascii(self) -> bool;

    /// For each bit, whether the number of bits set up to and with it is odd.
    fn parity(mask: u64) -> u64 {
        let mut mask = mask;
        for shift in [1, 2, 4, 8, 16, 32] {
            mask ^= mask << shift;
        }
        mask
    }
}

/// A block as words of eight bytes, for machines of which nothing else is known.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(target_arch = "x86_64", allow(dead_code))]
pub(super) struct Words([u64; 8]);

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

impl Words {
    /// One bit for each byte, from `mark`, which sets the high bit of those that are meant.
    #[inline(always)]
    fn gather(self, mark: impl Fn(u64) -> u64) -> u64 {
        let mut mask = 0;
        for (word, at) in self.0.iter().zip(0..) {
            // The product brings bit 8n + 7 to bit 56 + n; the partial sums below do not meet, so nothing carries.
            let bits = ((mark(*word) & HIGHS) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            mask |= bits << (8 * at);
        }
        mask
    }
}

/// Eight times the same byte.
#[inline(always)]
fn all(byte: u8) -> u64 {
    ONES * u64::from(byte)
}

/// The high bit of each byte that is zero, and of no other.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    !(((word & !HIGHS) + !HIGHS) | word) & HIGHS
}

/// The high bit of each byte below `limit`, which is at most 0x80.
#[inline(always)]
fn below(word: u64, limit: u8) -> u64 {
    !(((word & !HIGHS) + all(0x80 - limit)) | word) & HIGHS
}

impl Lanes for Words {
    #[inline(always)]
    fn load(block: &Block) -> Self {
        let (words, _) = block.as_chunks::<8>();
        Self(std::array::from_fn(|at| u64::from_le_bytes(words[at])))
    }

    #[inline(always)]
    fn eq(self, byte: u8) -> u64 {
        self.gather(|word| zeros(word ^ all(byte)))
    }

    #[inline(always)]
    fn folded(self) -> Self {
        Self(self.0.map(|word| word | all(0x20)))
    }

    #[inline(always)]
    fn digits(self) -> u64 {
        self.gather(|word| below(word, b'9' + 1) & !below(word, b'0'))
    }

    #[inline(always)]
    fn curly(self) -> u64 {
        self.gather(|word| word << 2)
    }

    #[inline(always)]
    fn controls(self) -> u64 {
        self.gather(|word| below(word, 0x20))
    }

    #[inline(always)]
    fn unusual(self) -> u64 {
        let unusual = |word: &u64| word & HIGHS | below(*word, 0x20) | zeros(word ^ all(b'\\'));
        self.0.iter().fold(0, |found, word| found | unusual(word))
    }

    #[inline(always)]
    fn is_beyond_ascii(self) -> bool {
        self.0.iter().fold(0, |found, word| found | word & HIGHS) != 0
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64 as arch;
    use std::arch::x86_64::{__m128i, __m256i};

    use super::{Block, Lanes};

    /// A block in two registers. *Invariant:* is only made where the processor is known to have AVX2 and PCLMULQDQ, in
    /// functions that are compiled for them, into which the methods are inlined.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Avx2(__m256i, __m256i);

    /// A block in four registers, with what every processor of this architecture has.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Sse2([__m128i; 4]);

    impl Avx2 {
        /// The high bits of the bytes of both halves.
        #[inline(always)]
        fn gather(low: __m256i, high: __m256i) -> u64 {
            // SAFETY: there is AVX2, by the invariant of the type.
            let (low, high) = unsafe { (arch::_mm256_movemask_epi8(low), arch::_mm256_movemask_epi8(high)) };
            u64::from(low as u32) | u64::from(high as u32) << 32
        }

        #[inline(always)]
        fn all(byte: u8) -> __m256i {
            // SAFETY: as in `gather`.
            unsafe { arch::_mm256_set1_epi8(byte as i8) }
        }
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn load(block: &Block) -> Self {
            let start = block.as_ptr().cast::<__m256i>();
            // SAFETY: the block has 64 bytes, the loads ask for no alignment, and whoever names this type has made
            // sure of AVX2.
            unsafe { Self(arch::_mm256_loadu_si256(start), arch::_mm256_loadu_si256(start.add(1))) }
        }

        #[inline(always)]
        fn eq(self, byte: u8) -> u64 {
            let all = Self::all(byte);
            // SAFETY: as in `gather`.
            unsafe {
                Self::gather(arch::_mm256_cmpeq_epi8(self.0, all), arch::_mm256_cmpeq_epi8(self.1, all))
            }
        }

        #[inline(always)]
        fn folded(self) -> Self {
            let bit = Self::all(0x20);
            // SAFETY: as in `gather`.
            unsafe { Self(arch::_mm256_or_si256(self.0, bit), arch::_mm256_or_si256(self.1, bit)) }
        }

        #[inline(always)]
        fn digits(self) -> u64 {
            let (zero, nine) = (Self::all(b'0'), Self::all(9));
            // SAFETY: as in `gather`.
            unsafe {
                let low = arch::_mm256_sub_epi8(self.0, zero);
                let high = arch::_mm256_sub_epi8(self.1, zero);
                Self::gather(
                    arch::_mm256_cmpeq_epi8(arch::_mm256_min_epu8(low, nine), low),
                    arch::_mm256_cmpeq_epi8(arch::_mm256_min_epu8(high, nine), high),
                )
            }
        }

        #[inline(always)]
        fn curly(self) -> u64 {
            // SAFETY: as in `gather`.
            unsafe {
                Self::gather(arch::_mm256_slli_epi16::<2>(self.0), arch::_mm256_slli_epi16::<2>(self.1))
            }
        }

        #[inline(always)]
        fn controls(self) -> u64 {
            let last = Self::all(0x1f);
            // SAFETY: as in `gather`.
            unsafe {
                Self::gather(
                    arch::_mm256_cmpeq_epi8(arch::_mm256_min_epu8(self.0, last), self.0),
                    arch::_mm256_cmpeq_epi8(arch::_mm256_min_epu8(self.1, last), self.1),
                )
            }
        }

        #[inline(always)]
        fn unusual(self) -> u64 {
            let (limit, slash) = (Self::all(0x20), Self::all(b'\\'));
            // SAFETY: as in `gather`. Bytes beyond ASCII are below 0x20 as well if the sign counts.
            unsafe {
                let controls = arch::_mm256_cmpgt_epi8(limit, arch::_mm256_min_epi8(self.0, self.1));
                let slashes = arch::_mm256_or_si256(
                    arch::_mm256_cmpeq_epi8(self.0, slash),
                    arch::_mm256_cmpeq_epi8(self.1, slash),
                );
                u64::from(arch::_mm256_movemask_epi8(arch::_mm256_or_si256(controls, slashes)) as u32)
            }
        }

        #[inline(always)]
        fn is_beyond_ascii(self) -> bool {
            // SAFETY: as in `gather`.
            unsafe { arch::_mm256_movemask_epi8(arch::_mm256_or_si256(self.0, self.1)) != 0 }
        }

        #[inline(always)]
        fn parity(mask: u64) -> u64 {
            // SAFETY: there is PCLMULQDQ, by the invariant of the type. A product without carries with all ones adds
            // up, modulo 2, all bits below and at each place.
            unsafe {
                let product = arch::_mm_clmulepi64_si128::<0>(
                    arch::_mm_set_epi64x(0, mask as i64),
                    arch::_mm_set1_epi8(-1),
                );
                arch::_mm_cvtsi128_si64(product) as u64
            }
        }
    }

    impl Sse2 {
        /// The high bits of the bytes of all quarters.
        #[inline(always)]
        fn gather(parts: [__m128i; 4]) -> u64 {
            let mut mask = 0;
            for (part, at) in parts.into_iter().zip(0..) {
                // SAFETY: every processor of this architecture has SSE2.
                mask |= (unsafe { arch::_mm_movemask_epi8(part) } as u64) << (16 * at);
            }
            mask
        }

        #[inline(always)]
        fn all(byte: u8) -> __m128i {
            // SAFETY: as in `gather`.
            unsafe { arch::_mm_set1_epi8(byte as i8) }
        }
    }

    impl Lanes for Sse2 {
        #[inline(always)]
        fn load(block: &Block) -> Self {
            let start = block.as_ptr().cast::<__m128i>();
            // SAFETY: the block has 64 bytes, of which each load takes its quarter, without asking for alignment.
            Self(std::array::from_fn(|at| unsafe { arch::_mm_loadu_si128(start.add(at)) }))
        }

        #[inline(always)]
        fn eq(self, byte: u8) -> u64 {
            // SAFETY: as in `gather`.
            Self::gather(self.0.map(|part| unsafe { arch::_mm_cmpeq_epi8(part, Self::all(byte)) }))
        }

        #[inline(always)]
        fn folded(self) -> Self {
            // SAFETY: as in `gather`.
            Self(self.0.map(|part| unsafe { arch::_mm_or_si128(part, Self::all(0x20)) }))
        }

        #[inline(always)]
        fn digits(self) -> u64 {
            // SAFETY: as in `gather`.
            Self::gather(self.0.map(|part| unsafe {
                let from_zero = arch::_mm_sub_epi8(part, Self::all(b'0'));
                arch::_mm_cmpeq_epi8(arch::_mm_min_epu8(from_zero, Self::all(9)), from_zero)
            }))
        }

        #[inline(always)]
        fn curly(self) -> u64 {
            // SAFETY: as in `gather`.
            Self::gather(self.0.map(|part| unsafe { arch::_mm_slli_epi16::<2>(part) }))
        }

        #[inline(always)]
        fn controls(self) -> u64 {
            // SAFETY: as in `gather`.
            Self::gather(
                self.0.map(|part| unsafe {
                    arch::_mm_cmpeq_epi8(arch::_mm_min_epu8(part, Self::all(0x1f)), part)
                }),
            )
        }

        #[inline(always)]
        fn unusual(self) -> u64 {
            // SAFETY: as in `gather`. Bytes beyond ASCII are below 0x20 as well if the sign counts.
            Self::gather(self.0.map(|part| unsafe {
                arch::_mm_or_si128(
                    arch::_mm_cmpgt_epi8(Self::all(0x20), part),
                    arch::_mm_cmpeq_epi8(part, Self::all(b'\\')),
                )
            }))
        }

        #[inline(always)]
        fn is_beyond_ascii(self) -> bool {
            Self::gather(self.0) != 0
        }
    }
}

/// The machine that is there without asking.
#[cfg(target_arch = "x86_64")]
pub(super) type Plain = Sse2;
/// The machine that is there without asking.
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Plain = Words;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each answer against what the bytes themselves say.
    fn check<L: Lanes>(block: &Block) {
        let lanes = L::load(block);
        let mask = |is: &dyn Fn(u8) -> bool| {
            block.iter().zip(0..).fold(0u64, |mask, (byte, at)| mask | u64::from(is(*byte)) << at)
        };
        for wanted in [0, b' ', b'"', b'\\', b'0', b'-', b'.', 0xff] {
            assert_eq!(lanes.eq(wanted), mask(&|byte| byte == wanted));
        }
        for wanted in [b'{', b'}'] {
            assert_eq!(lanes.folded().eq(wanted), mask(&|byte| byte | 0x20 == wanted));
        }
        assert_eq!(lanes.digits(), mask(&|byte| byte.is_ascii_digit()));
        assert_eq!(lanes.curly(), mask(&|byte| byte & 0x20 != 0));
        assert_eq!(lanes.controls(), mask(&|byte| byte < 0x20));
        assert_eq!(lanes.is_beyond_ascii(), !block.is_ascii());
        let unusual = |byte: &u8| *byte < 0x20 || *byte >= 0x80 || *byte == b'\\';
        assert_eq!(lanes.unusual() != 0, block.iter().any(unusual));
        let bits = u64::from_le_bytes(std::array::from_fn(|at| block[at]));
        let mut odd = false;
        let parity = (0..64).fold(0, |mask, at| {
            odd ^= bits >> at & 1 == 1;
            mask | u64::from(odd) << at
        });
        assert_eq!(L::parity(bits), parity);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,pclmulqdq")]
    fn check_avx2(block: &Block) {
        check::<Avx2>(block);
    }

    fn check_all(block: &Block) {
        check::<Words>(block);
        #[cfg(target_arch = "x86_64")]
        {
            check::<Sse2>(block);
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("pclmulqdq") {
                // SAFETY: the processor has what the function is compiled for.
                unsafe { check_avx2(block) };
            }
        }
    }

    #[test]
    fn every_machine_knows_every_byte() {
        for start in [0, 64, 128, 192] {
            check_all(&std::array::from_fn(|at| start + at as u8));
        }
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "takes too long there; the bytes themselves are seen above")]
        fn every_machine_sees_the_same(block in proptest::array::uniform32(any::<u8>()), text in "[ -~\t\n]{32}") {
            let mut whole = [0; 64];
            whole[..32].copy_from_slice(&block);
            whole[32..].copy_from_slice(text.as_bytes());
            check_all(&whole);
            check_all(&std::array::from_fn(|at| text.as_bytes()[at % 32]));
        }
    }
}
