//! The ten ENRP messages (RFC 5353 §2).

use std::fmt;

use asap_client::wire::cause::{emit_operation_error, parse_operation_error};
use asap_client::wire::element::{emit_checksum, parse_checksum};
use asap_client::wire::tlv::MAX_LENGTH;
use asap_client::wire::{
    self, Cause, Context, Header, ParameterType as P, PoolElement, PoolHandle, Problem, Reader,
    ServerInformation, Writer,
};

/// Reply-required, W, R and T are all this one.
const FLAG: u8 = 0x01;
/// M: more entries are to be asked for.
const MORE: u8 = 0x02;

/// The type of an ENRP message (RFC 5353 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(pub u8);

impl MessageType {
    /// I am here, and this is the checksum over my elements.
    pub const PRESENCE: Self = Self(0x01);
    /// Which elements are there?
    pub const HANDLE_TABLE_REQUEST: Self = Self(0x02);
    /// These.
    pub const HANDLE_TABLE_RESPONSE: Self = Self(0x03);
    /// One of my elements is new, changed or gone.
    pub const HANDLE_UPDATE: Self = Self(0x04);
    /// Which registrars are there?
    pub const LIST_REQUEST: Self = Self(0x05);
    /// These.
    pub const LIST_RESPONSE: Self = Self(0x06);
    /// I want to take over the elements of a registrar that seems dead.
    pub const INIT_TAKEOVER: Self = Self(0x07);
    /// I do not mind.
    pub const INIT_TAKEOVER_ACK: Self = Self(0x08);
    /// I have taken them over.
    pub const TAKEOVER_SERVER: Self = Self(0x09);
    /// Operation error.
    pub const ERROR: Self = Self(0x0a);
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::PRESENCE => "PRESENCE",
            Self::HANDLE_TABLE_REQUEST => "HANDLE_TABLE_REQUEST",
            Self::HANDLE_TABLE_RESPONSE => "HANDLE_TABLE_RESPONSE",
            Self::HANDLE_UPDATE => "HANDLE_UPDATE",
            Self::LIST_REQUEST => "LIST_REQUEST",
            Self::LIST_RESPONSE => "LIST_RESPONSE",
            Self::INIT_TAKEOVER => "INIT_TAKEOVER",
            Self::INIT_TAKEOVER_ACK => "INIT_TAKEOVER_ACK",
            Self::TAKEOVER_SERVER => "TAKEOVER_SERVER",
            Self::ERROR => "ERROR",
            Self(other) => return write!(f, "message type {other:#04x}"),
        })
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a HANDLE_UPDATE names an element (§2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdateAction {
    /// It is new or has changed.
    Add,
    /// It is gone.
    Delete,
}

/// Elements of one pool in a handle table. A pool may go on in the next message, under its handle again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The pool.
    pub handle: PoolHandle,
    /// Its elements, at least one.
    pub elements: Vec<PoolElement>,
}

/// An ENRP message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The Sending Server's ID.
    pub sender: u32,
    /// The Receiving Server's ID; 0 to all, or where it is not known.
    pub receiver: u32,
    /// The rest, by type.
    pub body: Body,
}

/// What an ENRP message says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are the parameters and flags that the variants' texts name")]
pub enum Body {
    /// I am here; `checksum` covers the elements that I own (§2.1).
    Presence { reply_required: bool, checksum: Option<u16>, server: Option<ServerInformation> },
    /// Which elements are there? `own` is the W bit: only yours (§2.2).
    HandleTableRequest { own: bool },
    /// These elements; `more` is the M bit: ask again (§2.3).
    HandleTableResponse { rejected: bool, more: bool, entries: Vec<Entry> },
    /// An element is new, changed or gone. `takeover_suggested` (draft-dreibholz-rserpool-enrp-takeover): you would
    /// be the better home for it (§2.4).
    HandleUpdate {
        takeover_suggested: bool,
        action: UpdateAction,
        handle: PoolHandle,
        element: Box<PoolElement>,
    },
    /// Which registrars are there? (§2.5)
    ListRequest,
    /// These registrars (§2.6).
    ListResponse { rejected: bool, servers: Vec<ServerInformation> },
    /// I want to take over `target`'s elements (§2.7).
    InitTakeover { target: u32 },
    /// I do not mind that you take over `target`'s elements (§2.8).
    InitTakeoverAck { target: u32 },
    /// I have taken over `target`'s elements (§2.9).
    TakeoverServer { target: u32 },
    /// What was wrong with an earlier message (§2.10).
    Error(Vec<Cause>),
}

/// Octets that are not an ENRP message, and what to report of them.
pub type DecodeError = wire::error::DecodeError<MessageType>;

/// A message as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The message.
    pub message: Message,
    /// Unknown parameters that were skipped and are to be reported in an ERROR (type bits `11`).
    pub reports: Vec<Cause>,
    /// The sender counts the last padding in its lengths, as rsplib does.
    pub padded_lengths: bool,
}

/// Reads one message: a whole SCTP user message or UDP datagram. Never panics; allocates no more than a small multiple
/// of the octets' own size.
///
/// # Errors
/// The octets are not a message that is known and whole. [`wire::error::DecodeError::causes`] are what to report, in
/// an ERROR and never in answer to one.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let mut context = Context::default();
    match parse(bytes, &mut context) {
        Ok(message) => {
            Ok(Decoded { message, reports: context.reports, padded_lengths: context.padded_lengths })
        }
        Err(problem) => Err(DecodeError {
            problem,
            message: bytes.first().map(|type_| MessageType(*type_)),
            reports: context.reports,
        }),
    }
}

fn parse(bytes: &[u8], context: &mut Context) -> Result<Message, Problem> {
    use MessageType as M;
    let Header { type_, flags, whole, mut body } = Header::parse(bytes)?;
    let (type_, flag) = (MessageType(type_), flags & FLAG != 0);
    if !(M::PRESENCE..=M::ERROR).contains(&type_) {
        return Err(Problem::UnknownMessage { message: type_.0, bytes: whole.to_vec() });
    }
    let (sender, receiver) = (body.u32()?, body.u32()?);
    let body = match type_ {
        M::PRESENCE => presence(flag, body, context)?,
        M::HANDLE_TABLE_REQUEST => bare(body, context, Body::HandleTableRequest { own: flag })?,
        M::HANDLE_TABLE_RESPONSE => {
            let entries = table(body, context)?;
            Body::HandleTableResponse { rejected: flag, more: flags & MORE != 0, entries }
        }
        M::HANDLE_UPDATE => update(flag, body, context)?,
        M::LIST_REQUEST => bare(body, context, Body::ListRequest)?,
        M::LIST_RESPONSE => {
            let mut servers = Vec::new();
            while let Some(parameter) = body.parameter(context)? {
                match parameter.type_ {
                    P::SERVER_INFORMATION => servers.push(ServerInformation::parse(&parameter, context)?),
                    _ => context.stray(&parameter)?,
                }
            }
            Body::ListResponse { rejected: flag, servers }
        }
        M::INIT_TAKEOVER | M::INIT_TAKEOVER_ACK | M::TAKEOVER_SERVER => {
            let target = body.u32()?;
            let said = match type_ {
                M::INIT_TAKEOVER => Body::InitTakeover { target },
                M::INIT_TAKEOVER_ACK => Body::InitTakeoverAck { target },
                _ => Body::TakeoverServer { target },
            };
            bare(body, context, said)?
        }
        _ => {
            let mut causes = None;
            while let Some(parameter) = body.parameter(context)? {
                match parameter.type_ {
                    P::OPERATION_ERROR if causes.is_none() => {
                        causes = Some(parse_operation_error(&parameter)?);
                    }
                    _ => context.stray(&parameter)?,
                }
            }
            Body::Error(causes.ok_or(Problem::Missing { parameter: P::OPERATION_ERROR })?)
        }
    };
    Ok(Message { sender, receiver, body })
}

/// A message without parameters; those that are there nevertheless are dealt with by their types.
fn bare(mut body: Reader<'_>, context: &mut Context, said: Body) -> Result<Body, Problem> {
    while let Some(parameter) = body.parameter(context)? {
        context.stray(&parameter)?;
    }
    Ok(said)
}

fn presence(reply_required: bool, mut body: Reader<'_>, context: &mut Context) -> Result<Body, Problem> {
    let (mut checksum, mut server) = (None, None);
    while let Some(parameter) = body.parameter(context)? {
        match parameter.type_ {
            P::PE_CHECKSUM if checksum.is_none() => checksum = Some(parse_checksum(&parameter)?),
            P::SERVER_INFORMATION if server.is_none() => {
                server = Some(ServerInformation::parse(&parameter, context)?);
            }
            _ => context.stray(&parameter)?,
        }
    }
    Ok(Body::Presence { reply_required, checksum, server })
}

/// Pool handles, each followed by elements.
fn table(mut body: Reader<'_>, context: &mut Context) -> Result<Vec<Entry>, Problem> {
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(parameter) = body.parameter(context)? {
        match (parameter.type_, entries.last_mut()) {
            (P::POOL_HANDLE, last) if last.as_ref().is_none_or(|last| !last.elements.is_empty()) => {
                entries.push(Entry { handle: PoolHandle::parse(&parameter)?, elements: Vec::new() });
            }
            (P::POOL_ELEMENT, Some(last)) => last.elements.push(PoolElement::parse(&parameter, context)?),
            _ => context.stray(&parameter)?,
        }
    }
    match entries.last() {
        Some(last) if last.elements.is_empty() => Err(Problem::Missing { parameter: P::POOL_ELEMENT }),
        _ => Ok(entries),
    }
}

fn update(takeover_suggested: bool, mut body: Reader<'_>, context: &mut Context) -> Result<Body, Problem> {
    let at = body.offset();
    let action = match body.u16()? {
        0 => UpdateAction::Add,
        1 => UpdateAction::Delete,
        other => {
            return Err(Problem::Field { at, value: other.into(), why: "the update action is 0 or 1" });
        }
    };
    body.u16()?;
    let (mut handle, mut element) = (None, None);
    while let Some(parameter) = body.parameter(context)? {
        match parameter.type_ {
            P::POOL_HANDLE if handle.is_none() => handle = Some(PoolHandle::parse(&parameter)?),
            P::POOL_ELEMENT if element.is_none() => element = Some(PoolElement::parse(&parameter, context)?),
            _ => context.stray(&parameter)?,
        }
    }
    let handle = handle.ok_or(Problem::Missing { parameter: P::POOL_HANDLE })?;
    let element = Box::new(element.ok_or(Problem::Missing { parameter: P::POOL_ELEMENT })?);
    Ok(Body::HandleUpdate { takeover_suggested, action, handle, element })
}

impl Message {
    /// The message's type.
    pub fn type_(&self) -> MessageType {
        match self.body {
            Body::Presence { .. } => MessageType::PRESENCE,
            Body::HandleTableRequest { .. } => MessageType::HANDLE_TABLE_REQUEST,
            Body::HandleTableResponse { .. } => MessageType::HANDLE_TABLE_RESPONSE,
            Body::HandleUpdate { .. } => MessageType::HANDLE_UPDATE,
            Body::ListRequest => MessageType::LIST_REQUEST,
            Body::ListResponse { .. } => MessageType::LIST_RESPONSE,
            Body::InitTakeover { .. } => MessageType::INIT_TAKEOVER,
            Body::InitTakeoverAck { .. } => MessageType::INIT_TAKEOVER_ACK,
            Body::TakeoverServer { .. } => MessageType::TAKEOVER_SERVER,
            Body::Error(_) => MessageType::ERROR,
        }
    }

    fn flags(&self) -> u8 {
        match &self.body {
            Body::HandleTableResponse { rejected, more, .. } => {
                (u8::from(*rejected) * FLAG) | (u8::from(*more) * MORE)
            }
            Body::Presence { reply_required: flag, .. }
            | Body::HandleTableRequest { own: flag }
            | Body::HandleUpdate { takeover_suggested: flag, .. }
            | Body::ListResponse { rejected: flag, .. } => u8::from(*flag) * FLAG,
            _ => 0,
        }
    }

    /// The octets to send as one SCTP user message: padded to a multiple of 4, length by the RFC.
    ///
    /// Registrars and causes that do not fit into 65535 octets are left out from the end. A handle table or an
    /// update that does not fit gives no octets at all: whoever makes a table sees to its size.
    pub fn encode(&self) -> Vec<u8> {
        Writer::message(self.type_().0, self.flags(), |w| {
            w.u32(self.sender);
            w.u32(self.receiver);
            self.body.emit(w);
        })
        .unwrap_or_default()
    }

    /// A LIST_REQUEST with an unknown parameter. Who follows RFC 5354 answers it and reports the parameter; rsplib
    /// reports a message that is not valid.
    pub fn question(sender: u32, receiver: u32) -> Vec<u8> {
        Writer::message(MessageType::LIST_REQUEST.0, 0, |w| {
            w.u32(sender);
            w.u32(receiver);
            w.parameter(super::UNKNOWN_PARAMETER, |_| ());
        })
        .unwrap_or_default()
    }
}

impl Body {
    fn emit(&self, w: &mut Writer) {
        match self {
            Self::Presence { checksum, server, .. } => {
                if let Some(checksum) = checksum {
                    emit_checksum(w, *checksum);
                }
                if let Some(server) = server {
                    server.emit(w);
                }
            }
            Self::HandleTableRequest { .. } | Self::ListRequest => {}
            Self::HandleTableResponse { entries, .. } => {
                for entry in entries {
                    entry.handle.emit(w);
                    for element in &entry.elements {
                        element.emit(w);
                    }
                }
            }
            Self::HandleUpdate { action, handle, element, .. } => {
                w.u16(match action {
                    UpdateAction::Add => 0,
                    UpdateAction::Delete => 1,
                });
                w.u16(0);
                handle.emit(w);
                element.emit(w);
            }
            Self::ListResponse { servers, .. } => w.list(servers, ServerInformation::emit),
            Self::InitTakeover { target }
            | Self::InitTakeoverAck { target }
            | Self::TakeoverServer { target } => w.u32(*target),
            Self::Error(causes) => {
                // Header and identifiers leave less room than a parameter can fill.
                if !w.attempt(MAX_LENGTH, |w| emit_operation_error(w, causes)) {
                    let bare: Vec<_> = causes.iter().take(1).map(|cause| Cause::bare(cause.code)).collect();
                    emit_operation_error(w, &bare);
                }
            }
        }
    }
}
