//! Safe access to the Linux kernel's SCTP.
//!
//! | module | what it is for |
//! |---|---|
//! | [`socket`], [`tokio`] | one-to-one and one-to-many sockets, whole messages, blocking and asynchronous |
//! | [`sockopt`] | one typed function per socket option |
//! | [`event`] | notifications, parsed from bytes |
//! | [`diag`] | the associations and sockets of this host, whoever owns them |
//! | [`readdress`] | changing the addresses of an association |
//! | [`adopt`] | getting at the sockets of other programs |
//! | [`watch`] | address changes and their answers, seen on the wire |
//! | [`probe`] | what this kernel offers, and its settings |
//! | [`addr`] | packed address lists |
//! | [`abi`] | the kernel's structures and numbers |

pub mod abi;
pub mod addr;
pub mod adopt;
pub mod checksum;
mod cmsg;
pub mod diag;
pub mod event;
mod inbox;
pub mod probe;
pub mod readdress;
pub mod socket;
pub mod sockopt;
mod syscall;
#[cfg(test)]
mod testing;
#[cfg(feature = "tokio")]
pub mod tokio;
pub mod watch;

pub use socket::{Family, MessageInfo, Received, SendInfo, Socket, Style};
pub use sockopt::{ALL_ASSOC, AssocId, CURRENT_ASSOC, FUTURE_ASSOC};
