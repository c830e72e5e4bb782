//! Safe access to the Linux kernel's SCTP.
//!
//! | module | what it is for |
//! |---|---|
//! | [`socket`], [`tokio`] | one-to-one and one-to-many sockets, whole messages, blocking and asynchronous |
//! | [`sockopt`] | one typed function per socket option |
//! | [`event`] | notifications, parsed from bytes |
//! | [`addr`] | packed address lists |
//! | [`abi`] | the kernel's structures and numbers |

pub mod abi;
pub mod addr;
mod cmsg;
pub mod event;
mod inbox;
pub mod socket;
pub mod sockopt;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use socket::{Family, MessageInfo, Received, SendInfo, Socket, Style};
pub use sockopt::{ALL_ASSOC, AssocId, CURRENT_ASSOC, FUTURE_ASSOC};
