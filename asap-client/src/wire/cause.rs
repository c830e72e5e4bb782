//! Operation Error and its causes (RFC 5354 §3.12).

use super::code::ParameterType;
use super::error::Problem;
use super::tlv::{MAX_LENGTH, Parameter, Reader, Writer};

/// One cause of an operation error. Codes that RFC 5354 does not name are kept: rsplib sends its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cause {
    /// The cause code.
    pub code: u16,
    /// Cause-specific data, without padding.
    pub data: Vec<u8>,
}

impl Cause {
    /// Unspecified error.
    pub const UNSPECIFIED: u16 = 0x0;
    /// Unrecognized parameter; data: the parameter.
    pub const UNRECOGNIZED_PARAMETER: u16 = 0x1;
    /// Unrecognized message; data: the message.
    pub const UNRECOGNIZED_MESSAGE: u16 = 0x2;
    /// Invalid values; data: the offending parameter.
    pub const INVALID_VALUES: u16 = 0x3;
    /// Non-unique PE identifier.
    pub const NON_UNIQUE_PE_IDENTIFIER: u16 = 0x4;
    /// Inconsistent pooling policy; data: the pool's policy parameter.
    pub const INCONSISTENT_POLICY: u16 = 0x5;
    /// Lack of resources.
    pub const LACK_OF_RESOURCES: u16 = 0x6;
    /// Inconsistent transport type; data: a transport of the pool's type.
    pub const INCONSISTENT_TRANSPORT: u16 = 0x7;
    /// Inconsistent data/control configuration.
    pub const INCONSISTENT_CONTROL: u16 = 0x8;
    /// Unknown pool handle.
    pub const UNKNOWN_POOL_HANDLE: u16 = 0x9;
    /// Rejected due to security considerations.
    pub const SECURITY: u16 = 0xa;

    /// A cause without data.
    pub fn bare(code: u16) -> Self {
        Self { code, data: Vec::new() }
    }

    /// "Unrecognized parameter", with the parameter's header and value.
    pub fn unrecognized_parameter(tlv: &[u8]) -> Self {
        Self { code: Self::UNRECOGNIZED_PARAMETER, data: tlv.to_vec() }
    }

    /// "Unrecognized message", with the whole message.
    pub fn unrecognized_message(message: &[u8]) -> Self {
        Self { code: Self::UNRECOGNIZED_MESSAGE, data: message.to_vec() }
    }

    /// "Invalid values", with the offending parameter's header and value.
    pub fn invalid_values(tlv: &[u8]) -> Self {
        Self { code: Self::INVALID_VALUES, data: tlv.to_vec() }
    }

    /// What RFC 5354, or rsplib for its own codes, calls this cause.
    pub fn name(&self) -> &'static str {
        match self.code {
            Self::UNSPECIFIED => "unspecified error",
            Self::UNRECOGNIZED_PARAMETER => "unrecognized parameter",
            Self::UNRECOGNIZED_MESSAGE => "unrecognized message",
            Self::INVALID_VALUES => "invalid values",
            Self::NON_UNIQUE_PE_IDENTIFIER => "non-unique PE identifier",
            Self::INCONSISTENT_POLICY => "inconsistent pooling policy",
            Self::LACK_OF_RESOURCES => "lack of resources",
            Self::INCONSISTENT_TRANSPORT => "inconsistent transport type",
            Self::INCONSISTENT_CONTROL => "inconsistent data/control configuration",
            Self::UNKNOWN_POOL_HANDLE => "unknown pool handle",
            Self::SECURITY => "rejected for security reasons",
            0x10 => "invalid message (rsplib)",
            0x11 => "invalid value (rsplib)",
            0xf000 => "invalid identifier (rsplib)",
            0xf002 => "duplicate identifier (rsplib)",
            0xf003 => "invalid policy (rsplib)",
            0xf004 => "invalid pool handle (rsplib)",
            0xf005 => "invalid addresses (rsplib)",
            0xf006 => "invalid registrator (rsplib)",
            0xf007 => "no usable ASAP addresses (rsplib)",
            0xf008 => "no usable user addresses (rsplib)",
            0x100a => "wrong protocol (rsplib)",
            0x100b => "unsupported policy (rsplib)",
            _ => "unknown cause",
        }
    }
}

/// Reads the causes of an Operation Error parameter.
///
/// # Errors
/// A cause's length is below 4 or reaches beyond the parameter.
pub fn parse_operation_error(parameter: &Parameter<'_>) -> Result<Vec<Cause>, Problem> {
    let mut reader: Reader<'_> = parameter.value;
    let mut causes = Vec::new();
    while reader.left() >= 4 {
        let code = reader.u16()?;
        let length = usize::from(reader.u16()?);
        let data = match length.checked_sub(4) {
            Some(size) if size <= reader.left() => reader.bytes(size)?,
            _ => return Err(parameter.invalid("a cause's length does not fit")),
        };
        causes.push(Cause { code, data: data.to_vec() });
        let pad = (length.wrapping_neg() & 3).min(reader.left());
        reader.bytes(pad)?;
    }
    Ok(causes)
}

/// Writes an Operation Error parameter. What does not fit is left out: first a cause's data, then the causes from it on.
pub fn emit_operation_error(writer: &mut Writer, causes: &[Cause]) {
    writer.parameter(ParameterType::OPERATION_ERROR, |w| {
        for cause in causes {
            if w.attempt(MAX_LENGTH, |w| w.structure(cause.code, |w| w.bytes(&cause.data))) {
                continue;
            }
            w.attempt(MAX_LENGTH, |w| w.structure(cause.code, |_| ()));
            break;
        }
    });
}
