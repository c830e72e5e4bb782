//! Pool member selection policies on the wire (RFC 5354 §3.8, RFC 5356, and rsplib's private ones).

use super::code::ParameterType;
use super::error::Problem;
use super::tlv::{Parameter, Writer};

/// The most values that a policy has.
const VALUES: usize = 4;

/// A selection policy with an element's values for it.
///
/// Loads, degradations and distance penalty factors (`dpf`) are fractions: 0 is none, `u32::MAX` is 100 %. Weights are
/// relative capacities, 0 for no service. Distances are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields' units are told above, once for all")]
pub enum Policy {
    /// Round Robin (RR).
    RoundRobin,
    /// Weighted Round Robin (WRR).
    WeightedRoundRobin { weight: u32 },
    /// Random (RAND).
    Random,
    /// Weighted Random (WRAND).
    WeightedRandom { weight: u32 },
    /// Priority (PRIO); the larger number goes first.
    Priority { priority: u32 },
    /// Least Used (LU).
    LeastUsed { load: u32 },
    /// Least Used with Degradation (LUD).
    LeastUsedDegradation { load: u32, degradation: u32 },
    /// Priority Least Used (PLU).
    PriorityLeastUsed { load: u32, degradation: u32 },
    /// Randomized Least Used (RLU).
    RandomizedLeastUsed { load: u32 },
    /// Randomized Priority Least Used (RPLU, rsplib).
    RandomizedPriorityLeastUsed { load: u32, degradation: u32 },
    /// Randomized Least Used with Degradation (RLUD, rsplib).
    RandomizedLeastUsedDegradation { load: u32, degradation: u32 },
    /// Priority Least Used with Degradation (PLUD, rsplib).
    PriorityLeastUsedDegradation { load: u32, degradation: u32 },
    /// Randomized Priority Least Used with Degradation (RPLUD, rsplib).
    RandomizedPriorityLeastUsedDegradation { load: u32, degradation: u32 },
    /// Weighted Random with Distance Penalty Factor (WRAND-DPF, draft-dreibholz-rserpool-delay).
    WeightedRandomDpf { weight: u32, dpf: u32, distance: u32 },
    /// Least Used with Distance Penalty Factor (LU-DPF, draft-dreibholz-rserpool-delay).
    LeastUsedDpf { load: u32, dpf: u32, distance: u32 },
    /// Least Used with Degradation and Distance Penalty Factor (LUD-DPF, rsplib).
    LeastUsedDegradationDpf { load: u32, degradation: u32, dpf: u32, distance: u32 },
    /// A policy that is not known here, kept as it came.
    Unknown { code: u32, data: Vec<u8> },
}

impl Policy {
    /// The policy type on the wire.
    pub fn code(&self) -> u32 {
        match self {
            Self::RoundRobin => 0x0000_0001,
            Self::WeightedRoundRobin { .. } => 0x0000_0002,
            Self::Random => 0x0000_0003,
            Self::WeightedRandom { .. } => 0x0000_0004,
            Self::Priority { .. } => 0x0000_0005,
            Self::LeastUsed { .. } => 0x4000_0001,
            Self::LeastUsedDegradation { .. } => 0x4000_0002,
            Self::PriorityLeastUsed { .. } => 0x4000_0003,
            Self::RandomizedLeastUsed { .. } => 0x4000_0004,
            Self::RandomizedPriorityLeastUsed { .. } => 0xb000_1001,
            Self::RandomizedLeastUsedDegradation { .. } => 0xb000_1002,
            Self::PriorityLeastUsedDegradation { .. } => 0xb000_1003,
            Self::RandomizedPriorityLeastUsedDegradation { .. } => 0xb000_1004,
            Self::WeightedRandomDpf { .. } => 0xb000_2001,
            Self::LeastUsedDpf { .. } => 0xb000_2002,
            Self::LeastUsedDegradationDpf { .. } => 0xb000_2003,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// The policy of this type with these values, in the order of the wire. `None` if their number is not the type's,
    /// or the type is not known.
    fn from_values(code: u32, values: &[u32]) -> Option<Self> {
        Some(match (code, values) {
            (0x0000_0001, []) => Self::RoundRobin,
            (0x0000_0002, &[weight]) => Self::WeightedRoundRobin { weight },
            (0x0000_0003, []) => Self::Random,
            (0x0000_0004, &[weight]) => Self::WeightedRandom { weight },
            (0x0000_0005, &[priority]) => Self::Priority { priority },
            (0x4000_0001, &[load]) => Self::LeastUsed { load },
            (0x4000_0002, &[load, degradation]) => Self::LeastUsedDegradation { load, degradation },
            (0x4000_0003, &[load, degradation]) => Self::PriorityLeastUsed { load, degradation },
            (0x4000_0004, &[load]) => Self::RandomizedLeastUsed { load },
            (0xb000_1001, &[load, degradation]) => Self::RandomizedPriorityLeastUsed { load, degradation },
            (0xb000_1002, &[load, degradation]) => Self::RandomizedLeastUsedDegradation { load, degradation },
            (0xb000_1003, &[load, degradation]) => Self::PriorityLeastUsedDegradation { load, degradation },
            (0xb000_1004, &[load, degradation]) => {
                Self::RandomizedPriorityLeastUsedDegradation { load, degradation }
            }
            (0xb000_2001, &[weight, dpf, distance]) => Self::WeightedRandomDpf { weight, dpf, distance },
            (0xb000_2002, &[load, dpf, distance]) => Self::LeastUsedDpf { load, dpf, distance },
            (0xb000_2003, &[load, degradation, dpf, distance]) => {
                Self::LeastUsedDegradationDpf { load, degradation, dpf, distance }
            }
            _ => return None,
        })
    }

    /// The values, in the order of the wire, and how many there are.
    fn values(&self) -> ([u32; VALUES], usize) {
        match *self {
            Self::RoundRobin | Self::Random | Self::Unknown { .. } => ([0; VALUES], 0),
            Self::WeightedRoundRobin { weight: value }
            | Self::WeightedRandom { weight: value }
            | Self::Priority { priority: value }
            | Self::LeastUsed { load: value }
            | Self::RandomizedLeastUsed { load: value } => ([value, 0, 0, 0], 1),
            Self::LeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsed { load, degradation }
            | Self::RandomizedPriorityLeastUsed { load, degradation }
            | Self::RandomizedLeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsedDegradation { load, degradation }
            | Self::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                ([load, degradation, 0, 0], 2)
            }
            Self::WeightedRandomDpf { weight: value, dpf, distance }
            | Self::LeastUsedDpf { load: value, dpf, distance } => ([value, dpf, distance, 0], 3),
            Self::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                ([load, degradation, dpf, distance], 4)
            }
        }
    }

    fn is_known(code: u32) -> bool {
        matches!(code, 0x0000_0001..=0x0000_0005 | 0x4000_0001..=0x4000_0004)
            || matches!(code, 0xb000_1001..=0xb000_1004 | 0xb000_2001..=0xb000_2003)
    }

    /// Reads a Pool Member Selection Policy parameter.
    ///
    /// # Errors
    /// The type is 0x00000000 or 0x40000000, or the length is not the type's.
    pub fn parse(parameter: &Parameter<'_>) -> Result<Self, Problem> {
        let mut value = parameter.value;
        let code = value.u32()?;
        let data = value.rest();
        if matches!(code, 0 | 0x4000_0000) {
            return Err(parameter.invalid("this policy type is reserved"));
        }
        if !Self::is_known(code) {
            return Ok(Self::Unknown { code, data: data.to_vec() });
        }
        let (words, rest) = data.as_chunks::<4>();
        let mut values = [0; VALUES];
        for (value, word) in values.iter_mut().zip(words) {
            *value = u32::from_be_bytes(*word);
        }
        let policy = values.get(..words.len()).and_then(|values| Self::from_values(code, values));
        policy.filter(|_| rest.is_empty()).ok_or_else(|| parameter.invalid("the length is not this policy's"))
    }

    /// Writes a Pool Member Selection Policy parameter.
    pub fn emit(&self, writer: &mut Writer) {
        if matches!(self, Self::RoundRobin | Self::Random) {
            return writer.word(ParameterType::POLICY, self.code());
        }
        writer.parameter(ParameterType::POLICY, |w| {
            w.u32(self.code());
            if let Self::Unknown { data, .. } = self {
                return w.bytes(data);
            }
            let (values, count) = self.values();
            for value in values.iter().take(count) {
                w.u32(*value);
            }
        });
    }
}
