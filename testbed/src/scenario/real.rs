//! Scenarios with real programs that nobody here wrote.

use super::Scenario;

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    Vec::new()
}
