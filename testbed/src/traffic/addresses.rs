//! The host's addresses, for programs that have to know them.

use std::net::IpAddr;

use anyhow::Result;
use roam_agent::config::Config;
use roam_agent::net::Monitor;

/// Tells the host's usable addresses, now and whenever they have changed. None: it is offline.
///
/// # Errors
/// The kernel does not say any more.
pub(super) async fn follow(mut tell: impl FnMut(Vec<IpAddr>)) -> Result<()> {
    let (_monitor, mut views) = Monitor::start(&Config::default()).await?;
    let mut before = None;
    loop {
        let usable: Vec<_> = views.borrow_and_update().usable().map(|local| local.address).collect();
        if before.as_ref() != Some(&usable) {
            println!("the host's addresses: {usable:?}");
            tell(usable.clone());
            before = Some(usable);
        }
        views.changed().await?;
    }
}
