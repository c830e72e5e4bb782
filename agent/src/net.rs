//! The host's network: from netlink to the addresses that may be used, and why the others may not.
//!
//! Netlink messages ([`event`]) are applied to a [`snapshot`]; [`usable`] judges each address; an unequal
//! [`view`] is published by the [`monitor`]; [`mod@diff`] says in words what changed.

mod ask;
pub mod diff;
pub mod event;
pub mod monitor;
mod neighbours;
pub(crate) mod netlink;
pub(crate) mod ours;
pub mod prober;
pub mod snapshot;
pub mod usable;
pub mod view;
mod wire;

pub(crate) use self::ask::{TICK, add_held, add_route, add_rule, delete_held, delete_route, delete_rule};
pub(crate) use self::ask::{is_our_rule, routes as ask_routes, rules as ask_rules};
pub use self::diff::{Change, diff};
pub use self::event::{OUR_LABEL, OUR_PROTOCOL};
pub use self::monitor::{Counters, Monitor, RouteAnswer, RouteRefusal};
pub use self::netlink::NetlinkError;
pub use self::prober::Prober;
pub use self::snapshot::OUR_TABLES;
pub use self::usable::{LocalAddress, Unusable};
pub use self::view::View;
