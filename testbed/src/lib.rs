//! The testbed: networks in namespaces, programs that send over them, hosts that move, and what became of it.

pub mod bench;
mod capture;
pub mod check;
pub mod checkout;
pub mod clock;
pub mod demo;
pub mod guest;
pub mod link;
pub mod measure;
pub mod netns;
pub mod network;
pub mod package;
pub mod process;
pub mod registrar;
pub mod report;
pub mod result;
pub mod rtnl;
pub mod scenario;
pub mod session;
pub mod sim;
pub mod socket;
pub mod topology;
pub mod traffic;
pub mod unit;
