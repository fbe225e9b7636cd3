/// Whether a task that was woken should let those go first that are ready to run too, since they may have more for it: then
/// it sends what they all have in one go, and not each alone.
///
/// That pays where many are ready at the same time, and costs a look at the network where there is nobody. So it is learnt
/// from what came of it, and tried now and then where it did not pay.
#[derive(Debug, Default)]
pub struct Courtesy {
    /// Above zero while it pays.
    score: u8,
    /// How often it was not asked for since the last try.
    passed: u8,
}

impl Courtesy {
    const SCORE_MAX: u8 = 16;
    /// What one success makes up for.
    const SUCCESS: u8 = 4;
    /// It is tried once in so many times where it does not pay.
    const TRIED_EVERY: u8 = 16;

    /// Whether to let others go first this time. If so, say with [`Courtesy::learn`] what came of it.
    pub fn pays(&mut self) -> bool {
        if self.score > 0 {
            return true;
        }
        self.passed = (self.passed + 1) % Self::TRIED_EVERY;
        self.passed == 0
    }

    /// Whether more had come when it was this task's turn again.
    pub fn learn(&mut self, is_more: bool) {
        self.score = match is_more {
            true => (self.score + Self::SUCCESS).min(Self::SCORE_MAX),
            false => self.score.saturating_sub(1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_up_while_it_pays_and_tried_now_and_then_otherwise() {
        let mut courtesy = Courtesy::default();
        let tries = (0..160).filter(|_| courtesy.pays()).count();
        assert_eq!(tries, 10);
        courtesy.learn(true);
        for _ in 0..4 {
            assert!(courtesy.pays());
            courtesy.learn(false);
        }
        assert!(!courtesy.pays());
    }
}
