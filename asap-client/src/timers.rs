//! How long the machines wait, and how often they try (RFC 5352 §7).

use std::time::Duration;

/// What the registration life counts on the wire: the RFC says seconds, rsplib sends and takes milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifeUnit {
    /// RFC 5354 §3.10.
    #[default]
    Seconds,
    /// rsplib.
    Milliseconds,
}

impl LifeUnit {
    /// A life as on the wire; `None` is for ever. Too long a life is the longest that can be said.
    pub fn encode(self, life: Option<Duration>) -> i32 {
        let Some(life) = life else { return crate::wire::PoolElement::FOREVER };
        let number = match self {
            Self::Seconds => u128::from(life.as_secs()),
            Self::Milliseconds => life.as_millis(),
        };
        i32::try_from(number).unwrap_or(i32::MAX).max(1)
    }
}

/// Timers and thresholds of pool element, pool user and server hunt.
///
/// [`Timers::default`] is RFC 5352's; where it names no value, one is chosen. [`Timers::mobile`] is for hosts whose
/// addresses change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// T1-ENRPrequest: how long a resolution waits for its response. 15 s.
    pub t1_request: Duration,
    /// T2-registration: how long a registration waits for its response. 30 s.
    pub t2_registration: Duration,
    /// T3-deregistration: how long a deregistration waits for its response. 30 s.
    pub t3_deregistration: Duration,
    /// T4-reregistration is the lesser of this and the life less 20 s (half of it when the life is below 40 s). 10 min.
    pub t4_most: Duration,
    /// T5-Serverhunt: how long connections are awaited before others are tried; it doubles. 10 s.
    pub t5_hunt: Duration,
    /// T7-ENRPoutdate: how long a registrar that was heard announcing itself is kept in the list. 5 s.
    pub t7_outdate: Duration,
    /// RETRAN-MAX: what T5 doubles up to, and the pause after [`max_reg_attempt`](Self::max_reg_attempt). 60 s.
    pub retran_max: Duration,
    /// MAX-REG-ATTEMPT: unanswered registrations before this is reported. 2.
    pub max_reg_attempt: u32,
    /// MAX-REQUEST-RETRANSMIT: repetitions of a resolution before its failure is reported. 2.
    pub max_request_retransmit: u32,
    /// Registrars that a hunt tries at once, 1 to 3 (RFC 5352 §3.6, SH1). 3.
    pub at_once: usize,
    /// How long the registrar that was home before is tried alone. 1 s.
    pub head_start: Duration,
    /// The first pause after every registrar has refused; it doubles up to [`retry_most`](Self::retry_most). 1 s.
    pub retry: Duration,
    /// The longest such pause. 30 s.
    pub retry_most: Duration,
    /// The first pause before a pool is asked for again that cannot be subscribed to; it doubles up to
    /// [`poll_most`](Self::poll_most). 1 s.
    pub poll: Duration,
    /// The longest such pause. 30 s.
    pub poll_most: Duration,
    /// How long an association that is [moved](crate::client::Output::Carry) is left alone once all is registered over
    /// another, before it is used again. 500 ms.
    pub carry: Duration,
    /// How long an association that has been replaced is kept at most once its successor is up; and one that a
    /// registrar has set up, if nothing is asked over it. 10 s.
    pub retire: Duration,
    /// What the registration life counts.
    pub life_unit: LifeUnit,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1_request: Duration::from_secs(15),
            t2_registration: Duration::from_secs(30),
            t3_deregistration: Duration::from_secs(30),
            t4_most: Duration::from_secs(600),
            t5_hunt: Duration::from_secs(10),
            t7_outdate: Duration::from_secs(5),
            retran_max: Duration::from_secs(60),
            max_reg_attempt: 2,
            max_request_retransmit: 2,
            at_once: 3,
            head_start: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            retry_most: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            poll_most: Duration::from_secs(30),
            carry: Duration::from_millis(500),
            retire: Duration::from_secs(10),
            life_unit: LifeUnit::Seconds,
        }
    }
}

impl Timers {
    /// Short ones: an unreachable registrar is found again within a second or two of being reachable, and a lost
    /// association costs little.
    pub fn mobile() -> Self {
        Self {
            t1_request: Duration::from_secs(3),
            t2_registration: Duration::from_secs(3),
            t3_deregistration: Duration::from_secs(3),
            t5_hunt: Duration::from_secs(4),
            retran_max: Duration::from_secs(8),
            head_start: Duration::from_millis(500),
            retry: Duration::from_millis(100),
            retry_most: Duration::from_secs(1),
            poll: Duration::from_millis(100),
            poll_most: Duration::from_secs(5),
            ..Self::default()
        }
    }

    /// T4 for a registration life.
    pub fn t4(&self, life: Option<Duration>) -> Duration {
        let Some(life) = life else { return self.t4_most };
        self.t4_most.min(life.saturating_sub(Duration::from_secs(20)).max(life / 2))
    }
}

/// The earliest of several timers.
pub(crate) fn earliest(
    timers: impl IntoIterator<Item = Option<std::time::Instant>>,
) -> Option<std::time::Instant> {
    timers.into_iter().flatten().min()
}

/// Takes a timer that has expired.
pub(crate) fn expired(timer: &mut Option<std::time::Instant>, now: std::time::Instant) -> bool {
    timer.take_if(|at| *at <= now).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_life_is_renewed_at_its_half_and_a_long_one_after_ten_minutes() {
        let timers = Timers::default();
        let t4 = |seconds| timers.t4(Some(Duration::from_secs(seconds))).as_secs_f64();
        assert_eq!(t4(10), 5.0);
        assert_eq!(t4(39), 19.5);
        assert_eq!(t4(300), 280.0);
        assert_eq!(t4(3600), 600.0);
        assert_eq!(timers.t4(None), timers.t4_most);
    }

    #[test]
    fn a_life_is_never_written_as_none_or_for_ever() {
        assert_eq!(LifeUnit::Seconds.encode(Some(Duration::from_millis(1))), 1);
        assert_eq!(LifeUnit::Seconds.encode(Some(Duration::MAX)), i32::MAX);
        assert_eq!(LifeUnit::Milliseconds.encode(Some(Duration::from_secs(12))), 12_000);
        assert_eq!(LifeUnit::Seconds.encode(None), -1);
    }
}
