//! ENRP (RFC 5353): what registrars tell each other.

pub mod wire;
