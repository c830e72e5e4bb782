//! How fast the elements of a pool are.

use clap::ValueEnum;

/// A distribution of capacities; the mean is 1 in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Capacities {
    /// All are equal.
    Equal,
    /// From one to ten times as fast as the slowest, in equal steps.
    Linear,
    /// One in ten is twenty times as fast as the others.
    FewFast,
}

impl Capacities {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Equal, Self::Linear, Self::FewFast];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equal => "all equal",
            Self::Linear => "one to ten times as fast, in equal steps",
            Self::FewFast => "one in ten twenty times as fast as the others",
        }
    }

    /// The capacities of so many elements, in the mean 1.
    #[must_use]
    pub fn of(self, elements: usize) -> Vec<f64> {
        let speed = |n: usize| match self {
            Self::Equal => 1.0,
            Self::Linear => 1.0 + 9.0 * n as f64 / elements.saturating_sub(1).max(1) as f64,
            Self::FewFast if n.is_multiple_of(10) => 20.0,
            Self::FewFast => 1.0,
        };
        let speeds: Vec<f64> = (0..elements).map(speed).collect();
        let mean = speeds.iter().sum::<f64>() / elements.max(1) as f64;
        speeds.iter().map(|speed| speed / mean).collect()
    }
}
