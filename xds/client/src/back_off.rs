//! How long to wait before the next attempt.

use std::time::Duration;

use rand::Rng;

/// Exponential back-off with jitter: clients that lost the same server do not come back at the same time.
#[derive(Clone, Debug)]
pub(crate) struct BackOff {
    minimum: Duration,
    maximum: Duration,
    next: Duration,
}

impl BackOff {
    /// Starts at `minimum`, doubles up to `maximum`.
    #[must_use]
    pub(crate) fn new(minimum: Duration, maximum: Duration) -> Self {
        Self { minimum, maximum, next: minimum }
    }

    /// The time to wait now: between half of the present step and all of it.
    pub(crate) fn wait(&mut self) -> Duration {
        let step = self.next.min(self.maximum);
        self.next = (step * 2).min(self.maximum);
        step.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// All is well again.
    pub(crate) fn reset(&mut self) {
        self.next = self.minimum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_with_jitter_up_to_the_maximum() {
        let mut back_off = BackOff::new(Duration::from_millis(10), Duration::from_secs(15));
        for exponent in 0..16 {
            let step = Duration::from_millis(10 << exponent).min(Duration::from_secs(15));
            let wait = back_off.wait();
            assert!(wait >= step / 2 && wait <= step, "{wait:?} in step {step:?}");
        }
        back_off.reset();
        assert!(back_off.wait() <= Duration::from_millis(10));
    }
}
