//! Why octets are not a message, and what the sender is told about it.

use std::fmt;

use thiserror::Error;

use super::code::{MessageType, ParameterType, WhenUnknown};
use super::{Cause, Message};

/// What is wrong with received octets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A fixed field is not all there.
    #[error("{wanted} octets wanted at offset {at}, {left} are there")]
    Truncated {
        /// Offset of the field from the beginning of the message.
        at: usize,
        /// Its size.
        wanted: usize,
        /// What is there of it.
        left: usize,
    },
    /// The message header's length is not that of the message.
    #[error("the header says {stated} octets, {available} came")]
    Length {
        /// What the header says.
        stated: usize,
        /// What was received.
        available: usize,
    },
    /// A parameter's length is below 4 or reaches beyond what encloses it.
    #[error("{parameter} at offset {at} has length {length}, with {left} octets left")]
    Malformed {
        /// The parameter's type.
        parameter: ParameterType,
        /// Its offset from the beginning of the message.
        at: usize,
        /// What its header says.
        length: usize,
        /// What encloses it has so many octets left.
        left: usize,
    },
    /// A message type that is not known.
    #[error("unknown message type {message:#04x}")]
    UnknownMessage {
        /// The type.
        message: u8,
        /// The whole message.
        bytes: Vec<u8>,
    },
    /// An unknown parameter that has the message discarded.
    #[error("unknown {parameter}")]
    UnknownParameter {
        /// The type.
        parameter: ParameterType,
        /// Header and value.
        tlv: Vec<u8>,
    },
    /// A fixed field holds what it must not.
    #[error("the field at offset {at} holds {value:#x}: {why}")]
    Field {
        /// Its offset from the beginning of the message.
        at: usize,
        /// What it holds.
        value: u32,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A known parameter where it has no place, or once too often.
    #[error("{parameter} has no place here")]
    OutOfPlace {
        /// The type.
        parameter: ParameterType,
    },
    /// A mandatory parameter is not there.
    #[error("{parameter} is missing")]
    Missing {
        /// The type.
        parameter: ParameterType,
    },
    /// A parameter's value makes no sense.
    #[error("{parameter}: {why}")]
    Invalid {
        /// The type.
        parameter: ParameterType,
        /// What is wrong with it.
        why: &'static str,
        /// Header and value.
        tlv: Vec<u8>,
    },
}

/// What sort of fault a [`Problem`] is, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The octets do not hold together: cut short, or a length is wrong.
    Malformed,
    /// The message's type is not known.
    UnknownMessage,
    /// A parameter's type is not known.
    UnknownParameter,
    /// A parameter is missing, or has no place where it is.
    Misplaced,
    /// A value means nothing.
    Invalid,
}

impl Problem {
    /// What sort of fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Truncated { .. } | Self::Length { .. } | Self::Malformed { .. } => Fault::Malformed,
            Self::UnknownMessage { .. } => Fault::UnknownMessage,
            Self::UnknownParameter { .. } => Fault::UnknownParameter,
            Self::OutOfPlace { .. } | Self::Missing { .. } => Fault::Misplaced,
            Self::Field { .. } | Self::Invalid { .. } => Fault::Invalid,
        }
    }

    /// The cause that the sender is told, if it is told at all (RFC 5354 §3, §3.12, §4).
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::UnknownMessage { message, bytes } => match WhenUnknown::of_message(*message) {
                WhenUnknown::DiscardAndReport => Some(Cause::unrecognized_message(bytes)),
                _ => None,
            },
            Self::UnknownParameter { parameter, tlv } => match parameter.when_unknown() {
                WhenUnknown::DiscardAndReport | WhenUnknown::SkipAndReport => {
                    Some(Cause::unrecognized_parameter(tlv))
                }
                _ => None,
            },
            Self::Invalid { tlv, .. } => Some(Cause::invalid_values(tlv)),
            Self::Truncated { .. }
            | Self::Length { .. }
            | Self::Malformed { .. }
            | Self::Field { .. }
            | Self::OutOfPlace { .. }
            | Self::Missing { .. } => None,
        }
    }
}

/// Octets that are not a message, and what to answer. `T` is the protocol's type of message types.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{problem}", .message.as_ref().map(|m| format!("{m}: ")).unwrap_or_default())]
pub struct DecodeError<T: fmt::Display = MessageType> {
    /// What is wrong.
    pub problem: Problem,
    /// The type of the message, where there were octets enough to have one.
    pub message: Option<T>,
    /// Unknown parameters before the problem that have to be reported as well.
    pub reports: Vec<Cause>,
}

impl DecodeError {
    /// The ASAP Error to answer with, if the sender is to be told. An Error is never answered with an Error.
    pub fn report(&self) -> Option<Message> {
        if self.message == Some(MessageType::ERROR) {
            return None;
        }
        let causes = self.causes();
        (!causes.is_empty()).then_some(Message::Error(causes))
    }
}

impl<T: fmt::Display> DecodeError<T> {
    /// The causes to report, possibly none.
    pub fn causes(&self) -> Vec<Cause> {
        self.reports.iter().cloned().chain(self.problem.cause()).collect()
    }
}
