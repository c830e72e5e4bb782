//! The fourteen ASAP messages (RFC 5352 §2.2).

use super::cause::{Cause, emit_operation_error, parse_operation_error};
use super::code::{MessageType, ParameterType as P};
use super::element::{PoolElement, emit_u32, parse_u32};
use super::error::{DecodeError, Problem};
use super::handle::PoolHandle;
use super::policy::Policy;
use super::tlv::{Context, HEADER, Header, Reader, Writer};
use super::transport::Transport;

/// The R, S, A and H bits are all this one.
const FLAG: u8 = 0x01;

/// An ASAP message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are the parameters that the variants' texts name")]
pub enum Message {
    /// PE to registrar: put `element` into the pool, or replace it there (§2.2.1).
    Registration { handle: PoolHandle, element: PoolElement },
    /// PE to registrar: take me out of the pool (§2.2.2).
    Deregistration { handle: PoolHandle, id: u32 },
    /// Registrar to PE. `rejected` is the R bit; an error without it is a warning (§2.2.3).
    RegistrationResponse { rejected: bool, handle: PoolHandle, id: u32, error: Option<Vec<Cause>> },
    /// Registrar to PE; unasked when the registration ran out. With an error the request was rejected (§2.2.4).
    DeregistrationResponse { handle: PoolHandle, id: u32, error: Option<Vec<Cause>> },
    /// Who is in the pool? `subscribe` is the S bit; `items` the number wanted, `u32::MAX` for all (§2.2.5).
    HandleResolution { subscribe: bool, handle: PoolHandle, items: Option<u32> },
    /// The pool's elements, or an error. `subscribed` is the A bit; no policy means Round Robin (§2.2.6).
    HandleResolutionResponse {
        subscribed: bool,
        handle: PoolHandle,
        policy: Option<Policy>,
        elements: Vec<PoolElement>,
        error: Option<Vec<Cause>>,
    },
    /// Registrar `server` to PE. `home` is the H bit: I am your home now. rsplib adds an `id` (§2.2.7).
    EndpointKeepAlive { home: bool, server: u32, handle: PoolHandle, id: Option<u32> },
    /// PE's answer to a keep-alive (§2.2.8).
    EndpointKeepAliveAck { handle: PoolHandle, id: u32 },
    /// To a registrar: this PE could not be reached (§2.2.9).
    EndpointUnreachable { handle: PoolHandle, id: u32 },
    /// A registrar's multicast announcement; without transports: SCTP at the source address (§2.2.10).
    ServerAnnounce { server: u32, transports: Vec<Transport> },
    /// PE to PU: state to hand to my successor (§2.2.11).
    Cookie(Vec<u8>),
    /// PU to the successor: the latest cookie (§2.2.12).
    CookieEcho(Vec<u8>),
    /// Elements in the preferred order of failover (§2.2.13).
    BusinessCard { handle: PoolHandle, elements: Vec<PoolElement> },
    /// What was wrong with an earlier message (§2.2.14).
    Error(Vec<Cause>),
}

/// A message as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The message.
    pub message: Message,
    /// Unknown parameters that were skipped and are to be reported in an ASAP Error (type bits `11`).
    pub reports: Vec<Cause>,
    /// The sender counts the last padding in its lengths, as rsplib does.
    pub padded_lengths: bool,
}

/// How often a parameter may occur in a message.
enum Place {
    None,
    Once,
    Often,
    /// It may be there, but is of no use.
    Ignored,
}

fn place(message: MessageType, parameter: P) -> Place {
    use MessageType as M;
    match (message, parameter) {
        (M::COOKIE | M::COOKIE_ECHO, P::COOKIE) | (M::ERROR, P::OPERATION_ERROR) => Place::Once,
        (M::SERVER_ANNOUNCE, type_) if type_.is_transport() => Place::Often,
        (M::COOKIE | M::COOKIE_ECHO | M::ERROR | M::SERVER_ANNOUNCE, _) => Place::None,
        (_, P::POOL_HANDLE) => Place::Once,
        (M::REGISTRATION, P::POOL_ELEMENT) => Place::Once,
        (
            M::DEREGISTRATION
            | M::REGISTRATION_RESPONSE
            | M::DEREGISTRATION_RESPONSE
            | M::ENDPOINT_KEEP_ALIVE
            | M::ENDPOINT_KEEP_ALIVE_ACK
            | M::ENDPOINT_UNREACHABLE,
            P::PE_IDENTIFIER,
        ) => Place::Once,
        (M::REGISTRATION_RESPONSE | M::DEREGISTRATION_RESPONSE, P::OPERATION_ERROR) => Place::Once,
        (M::HANDLE_RESOLUTION, P::HANDLE_RESOLUTION_OPTION) => Place::Once,
        (M::HANDLE_RESOLUTION_RESPONSE, P::POLICY | P::OPERATION_ERROR) => Place::Once,
        (M::HANDLE_RESOLUTION_RESPONSE | M::BUSINESS_CARD, P::POOL_ELEMENT) => Place::Often,
        // rsplib's business card has one; the RFC's has not.
        (M::BUSINESS_CARD, P::POLICY) => Place::Ignored,
        _ => Place::None,
    }
}

/// No message has more parameters that may be there once.
const PARAMETERS: usize = 4;

/// What a message's parameters hold.
#[derive(Default)]
struct Slots {
    /// Those that may be there once.
    seen: [Option<P>; PARAMETERS],
    handle: Option<PoolHandle>,
    /// The only one that may be there.
    element: Option<PoolElement>,
    elements: Vec<PoolElement>,
    id: Option<u32>,
    policy: Option<Policy>,
    error: Option<Vec<Cause>>,
    items: Option<u32>,
    transports: Vec<Transport>,
    cookie: Option<Vec<u8>>,
}

impl Slots {
    fn read(message: MessageType, mut reader: Reader<'_>, context: &mut Context) -> Result<Self, Problem> {
        let mut slots = Self::default();
        while let Some(mut parameter) = reader.parameter(context)? {
            match place(message, parameter.type_) {
                Place::Ignored => continue,
                Place::Often => {}
                Place::Once if slots.is_first(parameter.type_) => {}
                Place::Once | Place::None => {
                    context.stray(&parameter)?;
                    continue;
                }
            }
            match parameter.type_ {
                P::POOL_HANDLE => slots.handle = Some(PoolHandle::parse(&parameter)?),
                P::POOL_ELEMENT if message == MessageType::REGISTRATION => {
                    slots.element = Some(PoolElement::parse(&parameter, context)?);
                }
                P::POOL_ELEMENT => slots.elements.push(PoolElement::parse(&parameter, context)?),
                P::PE_IDENTIFIER => slots.id = Some(parse_u32(&parameter)?),
                P::POLICY => slots.policy = Some(Policy::parse(&parameter)?),
                P::OPERATION_ERROR => slots.error = Some(parse_operation_error(&parameter)?),
                P::HANDLE_RESOLUTION_OPTION => slots.items = Some(parse_u32(&parameter)?),
                P::COOKIE => slots.cookie = Some(parameter.value.rest().to_vec()),
                _ => slots.transports.push(Transport::parse(&parameter, context)?),
            }
        }
        Ok(slots)
    }

    /// Whether no parameter of this type came before.
    fn is_first(&mut self, type_: P) -> bool {
        let place = self.seen.iter_mut().find(|seen| seen.is_none_or(|seen| seen == type_));
        place.is_some_and(|place| place.replace(type_).is_none())
    }

    fn handle(&mut self) -> Result<PoolHandle, Problem> {
        self.handle.take().ok_or(Problem::Missing { parameter: P::POOL_HANDLE })
    }

    fn id(&self) -> Result<u32, Problem> {
        self.id.ok_or(Problem::Missing { parameter: P::PE_IDENTIFIER })
    }

    fn cookie(&mut self) -> Result<Vec<u8>, Problem> {
        self.cookie.take().ok_or(Problem::Missing { parameter: P::COOKIE })
    }
}

/// Reads one message: a whole SCTP user message or UDP datagram. Never panics; allocates no more than a small multiple
/// of the octets' own size.
///
/// # Errors
/// The octets are not a message that is known and whole. [`DecodeError::report`] tells what to answer.
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
    let header = Header::parse(bytes)?;
    let (type_, flag, mut reader) = (MessageType(header.type_), header.flags & FLAG != 0, header.body);
    if !(M::REGISTRATION..=M::ERROR).contains(&type_) {
        return Err(Problem::UnknownMessage { message: header.type_, bytes: header.whole.to_vec() });
    }
    let server = match type_ {
        M::ENDPOINT_KEEP_ALIVE | M::SERVER_ANNOUNCE => reader.u32()?,
        _ => 0,
    };
    if let Some(message) = plain(type_, flag, reader, context)? {
        return Ok(message);
    }
    let mut slots = Slots::read(type_, reader, context)?;
    Ok(match type_ {
        M::REGISTRATION => {
            let handle = slots.handle()?;
            let element = slots.element.ok_or(Problem::Missing { parameter: P::POOL_ELEMENT })?;
            Message::Registration { handle, element }
        }
        M::DEREGISTRATION => Message::Deregistration { handle: slots.handle()?, id: slots.id()? },
        M::REGISTRATION_RESPONSE => Message::RegistrationResponse {
            rejected: flag,
            handle: slots.handle()?,
            id: slots.id()?,
            error: slots.error,
        },
        M::DEREGISTRATION_RESPONSE => {
            Message::DeregistrationResponse { handle: slots.handle()?, id: slots.id()?, error: slots.error }
        }
        M::HANDLE_RESOLUTION => {
            Message::HandleResolution { subscribe: flag, handle: slots.handle()?, items: slots.items }
        }
        M::HANDLE_RESOLUTION_RESPONSE => Message::HandleResolutionResponse {
            subscribed: flag,
            handle: slots.handle()?,
            policy: slots.policy,
            elements: slots.elements,
            error: slots.error,
        },
        M::ENDPOINT_KEEP_ALIVE => {
            Message::EndpointKeepAlive { home: flag, server, handle: slots.handle()?, id: slots.id }
        }
        M::ENDPOINT_KEEP_ALIVE_ACK => {
            Message::EndpointKeepAliveAck { handle: slots.handle()?, id: slots.id()? }
        }
        M::ENDPOINT_UNREACHABLE => Message::EndpointUnreachable { handle: slots.handle()?, id: slots.id()? },
        M::SERVER_ANNOUNCE => Message::ServerAnnounce { server, transports: slots.transports },
        M::COOKIE => Message::Cookie(slots.cookie()?),
        M::COOKIE_ECHO => Message::CookieEcho(slots.cookie()?),
        M::BUSINESS_CARD => Message::BusinessCard { handle: slots.handle()?, elements: slots.elements },
        _ => Message::Error(slots.error.ok_or(Problem::Missing { parameter: P::OPERATION_ERROR })?),
    })
}

/// Reads what comes most often, and as it comes nearly always: a registration with a handle and an element, a question with
/// a handle and perhaps an option, and nothing else. Anything else is `None`.
fn plain(
    type_: MessageType,
    flag: bool,
    mut reader: Reader<'_>,
    context: &mut Context,
) -> Result<Option<Message>, Problem> {
    if !matches!(type_, MessageType::REGISTRATION | MessageType::HANDLE_RESOLUTION) {
        return Ok(None);
    }
    let Ok(Some(handle)) = reader.parameter(context) else { return Ok(None) };
    let Ok(second) = reader.parameter(context) else { return Ok(None) };
    if handle.type_ != P::POOL_HANDLE || reader.left() >= HEADER {
        return Ok(None);
    }
    let handle = &handle;
    Ok(match second {
        Some(element) if type_ == MessageType::REGISTRATION && element.type_ == P::POOL_ELEMENT => {
            let handle = PoolHandle::parse(handle)?;
            Some(Message::Registration { handle, element: PoolElement::parse(&element, context)? })
        }
        None if type_ == MessageType::HANDLE_RESOLUTION => Some(Message::HandleResolution {
            subscribe: flag,
            handle: PoolHandle::parse(handle)?,
            items: None,
        }),
        Some(option)
            if type_ == MessageType::HANDLE_RESOLUTION && option.type_ == P::HANDLE_RESOLUTION_OPTION =>
        {
            let handle = PoolHandle::parse(handle)?;
            Some(Message::HandleResolution { subscribe: flag, handle, items: Some(parse_u32(&option)?) })
        }
        _ => None,
    })
}

impl Message {
    /// The message's type.
    pub fn type_(&self) -> MessageType {
        match self {
            Self::Registration { .. } => MessageType::REGISTRATION,
            Self::Deregistration { .. } => MessageType::DEREGISTRATION,
            Self::RegistrationResponse { .. } => MessageType::REGISTRATION_RESPONSE,
            Self::DeregistrationResponse { .. } => MessageType::DEREGISTRATION_RESPONSE,
            Self::HandleResolution { .. } => MessageType::HANDLE_RESOLUTION,
            Self::HandleResolutionResponse { .. } => MessageType::HANDLE_RESOLUTION_RESPONSE,
            Self::EndpointKeepAlive { .. } => MessageType::ENDPOINT_KEEP_ALIVE,
            Self::EndpointKeepAliveAck { .. } => MessageType::ENDPOINT_KEEP_ALIVE_ACK,
            Self::EndpointUnreachable { .. } => MessageType::ENDPOINT_UNREACHABLE,
            Self::ServerAnnounce { .. } => MessageType::SERVER_ANNOUNCE,
            Self::Cookie(_) => MessageType::COOKIE,
            Self::CookieEcho(_) => MessageType::COOKIE_ECHO,
            Self::BusinessCard { .. } => MessageType::BUSINESS_CARD,
            Self::Error(_) => MessageType::ERROR,
        }
    }

    /// The octets to send as one SCTP user message: padded to a multiple of 4, length by the RFC.
    ///
    /// What does not fit into 65535 octets is left out from the end of its list: elements of a pool, transports, the
    /// data of error causes and then the causes. A message that does not fit even so gives no octets at all; only an
    /// opaque transport, cookie or handle of nearly 64 KiB made here can bring that about, never a received one.
    pub fn encode(&self) -> Vec<u8> {
        Writer::message(self.type_().0, self.flags(), |w| self.emit(w)).unwrap_or_default()
    }

    /// As [`Self::encode`], in the place of what was in a buffer, which may be used again and again.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        // Where it does not fit, nothing is in the buffer.
        let _ = Writer::message_into(buffer, self.type_().0, self.flags(), |w| self.emit(w));
    }

    fn flags(&self) -> u8 {
        let flag = match self {
            Self::RegistrationResponse { rejected: flag, .. }
            | Self::HandleResolution { subscribe: flag, .. }
            | Self::HandleResolutionResponse { subscribed: flag, .. }
            | Self::EndpointKeepAlive { home: flag, .. } => *flag,
            _ => false,
        };
        u8::from(flag) * FLAG
    }

    fn emit(&self, w: &mut Writer) {
        match self {
            Self::Registration { handle, element } => {
                handle.emit(w);
                element.emit(w);
            }
            Self::Deregistration { handle, id }
            | Self::EndpointKeepAliveAck { handle, id }
            | Self::EndpointUnreachable { handle, id } => {
                handle.emit(w);
                emit_u32(w, P::PE_IDENTIFIER, *id);
            }
            Self::RegistrationResponse { handle, id, error, .. }
            | Self::DeregistrationResponse { handle, id, error } => {
                handle.emit(w);
                emit_u32(w, P::PE_IDENTIFIER, *id);
                emit_error(w, error.as_deref());
            }
            Self::HandleResolution { handle, items, .. } => {
                handle.emit(w);
                if let Some(items) = items {
                    emit_u32(w, P::HANDLE_RESOLUTION_OPTION, *items);
                }
            }
            Self::HandleResolutionResponse { handle, policy, elements, error, .. } => {
                handle.emit(w);
                if let Some(policy) = policy {
                    policy.emit(w);
                }
                w.list(elements, PoolElement::emit);
                emit_error(w, error.as_deref());
            }
            Self::EndpointKeepAlive { server, handle, id, .. } => {
                w.u32(*server);
                handle.emit(w);
                if let Some(id) = id {
                    emit_u32(w, P::PE_IDENTIFIER, *id);
                }
            }
            Self::ServerAnnounce { server, transports } => {
                w.u32(*server);
                w.list(transports, Transport::emit);
            }
            Self::Cookie(cookie) | Self::CookieEcho(cookie) => w.parameter(P::COOKIE, |w| w.bytes(cookie)),
            Self::BusinessCard { handle, elements } => {
                handle.emit(w);
                w.list(elements, PoolElement::emit);
            }
            Self::Error(causes) => emit_operation_error(w, causes),
        }
    }
}

fn emit_error(writer: &mut Writer, error: Option<&[Cause]>) {
    if let Some(causes) = error {
        emit_operation_error(writer, causes);
    }
}
