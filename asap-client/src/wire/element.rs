//! Pool elements and servers as parameters (RFC 5354 §3.10, §3.11, §3.14, §3.15).

use super::code::ParameterType;
use super::error::Problem;
use super::policy::Policy;
use super::tlv::{Context, Parameter, Writer};
use super::transport::Transport;

/// A pool element (RFC 5354 §3.10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolElement {
    /// Its identifier, unique in the pool.
    pub id: u32,
    /// Its home registrar's identifier; 0 while undetermined.
    pub home: u32,
    /// Registration life as on the wire: seconds by the RFC, milliseconds for rsplib; -1 is for ever.
    pub life: i32,
    /// Where it serves its users.
    pub user: Transport,
    /// How it wants to be selected.
    pub policy: Policy,
    /// Where it speaks ASAP: set by registrars, left out by elements.
    pub asap: Option<Transport>,
}

impl PoolElement {
    /// A registration for ever.
    pub const FOREVER: i32 = -1;

    /// Reads a Pool Element parameter. The first transport is the user's, the second, which has to be SCTP, ASAP's.
    ///
    /// # Errors
    /// It lacks user transport or policy, or holds something that has no place in it.
    pub fn parse(parameter: &Parameter<'_>, context: &mut Context) -> Result<Self, Problem> {
        let mut value = parameter.value;
        let (id, home, life) = (value.u32()?, value.u32()?, value.i32()?);
        let (mut user, mut policy, mut asap) = (None, None, None);
        while let Some(inner) = value.parameter(context)? {
            match inner.type_ {
                type_ if type_.is_transport() && user.is_none() => {
                    user = Some(Transport::parse(&inner, context)?)
                }
                ParameterType::SCTP_TRANSPORT if asap.is_none() => {
                    asap = Some(Transport::parse(&inner, context)?)
                }
                ParameterType::POLICY if policy.is_none() => policy = Some(Policy::parse(&inner)?),
                _ => context.stray(&inner)?,
            }
        }
        let user = user.ok_or_else(|| parameter.invalid("the user transport is missing"))?;
        let policy = policy.ok_or_else(|| parameter.invalid("the selection policy is missing"))?;
        Ok(Self { id, home, life, user, policy, asap })
    }

    /// Writes a Pool Element parameter.
    pub fn emit(&self, writer: &mut Writer) {
        let Self { id, home, life, user, policy, asap } = self;
        let asap = asap.as_ref();
        PoolElementRef { id: *id, home: *home, life: *life, user, policy, asap }.emit(writer);
    }
}

/// A [`PoolElement`] whose parts belong to somebody else, to be written without a copy.
#[derive(Clone, Copy, Debug)]
pub struct PoolElementRef<'a> {
    /// Its identifier.
    pub id: u32,
    /// Its home registrar's identifier.
    pub home: u32,
    /// Registration life as on the wire.
    pub life: i32,
    /// Where it serves its users.
    pub user: &'a Transport,
    /// How it wants to be selected.
    pub policy: &'a Policy,
    /// Where it speaks ASAP.
    pub asap: Option<&'a Transport>,
}

impl PoolElementRef<'_> {
    /// Writes a Pool Element parameter.
    pub fn emit(&self, writer: &mut Writer) {
        writer.parameter(ParameterType::POOL_ELEMENT, |w| {
            w.bytes([self.id.to_be_bytes(), self.home.to_be_bytes(), self.life.to_be_bytes()].as_flattened());
            self.user.emit(w);
            self.policy.emit(w);
            if let Some(asap) = self.asap {
                asap.emit(w);
            }
        });
    }
}

/// A registrar as its peers know it (ENRP; RFC 5354 §3.11).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerInformation {
    /// The registrar's identifier.
    pub server: u32,
    /// Where it speaks ENRP.
    pub transport: Transport,
}

impl ServerInformation {
    /// Reads a Server Information parameter.
    ///
    /// # Errors
    /// It does not hold exactly one SCTP transport.
    pub fn parse(parameter: &Parameter<'_>, context: &mut Context) -> Result<Self, Problem> {
        let mut value = parameter.value;
        let server = value.u32()?;
        let mut transport = None;
        while let Some(inner) = value.parameter(context)? {
            match inner.type_ {
                ParameterType::SCTP_TRANSPORT if transport.is_none() => {
                    transport = Some(Transport::parse(&inner, context)?);
                }
                _ => context.stray(&inner)?,
            }
        }
        let transport = transport.ok_or_else(|| parameter.invalid("the transport is missing"))?;
        Ok(Self { server, transport })
    }

    /// Writes a Server Information parameter.
    pub fn emit(&self, writer: &mut Writer) {
        writer.parameter(ParameterType::SERVER_INFORMATION, |w| {
            w.u32(self.server);
            self.transport.emit(w);
        });
    }
}

/// Reads a parameter whose value is one 32-bit number: PE Identifier, Handle Resolution Option.
///
/// # Errors
/// Its length is not 8.
pub fn parse_u32(parameter: &Parameter<'_>) -> Result<u32, Problem> {
    let mut value = parameter.value;
    match <[u8; 4]>::try_from(value.rest()) {
        Ok(octets) => Ok(u32::from_be_bytes(octets)),
        Err(_) => Err(parameter.invalid("its length is 8")),
    }
}

/// Writes a parameter whose value is one 32-bit number.
pub fn emit_u32(writer: &mut Writer, type_: ParameterType, value: u32) {
    writer.word(type_, value);
}

/// Reads a PE Checksum parameter (ENRP).
///
/// # Errors
/// Its length is neither 6, as the RFC has it, nor 8, with the padding counted.
pub fn parse_checksum(parameter: &Parameter<'_>) -> Result<u16, Problem> {
    let mut value = parameter.value;
    match *value.rest() {
        [high, low] | [high, low, _, _] => Ok(u16::from_be_bytes([high, low])),
        _ => Err(parameter.invalid("its length is 6")),
    }
}

/// Writes a PE Checksum parameter (ENRP).
pub fn emit_checksum(writer: &mut Writer, checksum: u16) {
    writer.parameter(ParameterType::PE_CHECKSUM, |w| w.u16(checksum));
}
