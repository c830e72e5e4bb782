//! Listening sockets: new associations have to find the host where it is now.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;

use sctp_sys::sockopt;

use super::Daemon;
use crate::associations::{Endpoint, Handle, act};

/// A listening socket under management.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    pub(super) handle: Handle,
    pub(super) uid: u32,
    pub(super) port: u16,
    pub(super) wildcard: bool,
    pub(super) executable: Option<PathBuf>,
    /// Why it could not be moved the last time.
    trouble: Option<String>,
}

impl Daemon {
    /// Looks for new listeners between two looks at everything, which are rare where there are many associations.
    pub(super) fn look_at_listeners(&mut self) {
        let lagging = self.listeners.values().any(|listener| listener.trouble.is_some());
        match self.survey.listeners(lagging) {
            Ok(Some(endpoints)) => self.tend_listeners(endpoints),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the host's listening SCTP sockets cannot be listed"),
        }
    }

    /// Adopts new listeners and forgets those that are gone. One that could not be moved is tried again.
    pub(super) fn tend_listeners(&mut self, endpoints: Vec<Endpoint>) {
        let mut alive = HashSet::new();
        let mut news = false;
        for endpoint in endpoints {
            if !self.wanted(&endpoint.handle, endpoint.uid, endpoint.port, endpoint.executable.as_deref()) {
                continue;
            }
            let inode = endpoint.handle.inode;
            alive.insert(inode);
            if let Some(listener) = self.listeners.get_mut(&inode) {
                // It may have been passed on, or left to a child.
                if !listener.handle.is_held() {
                    (listener.handle, listener.executable) = (endpoint.handle, endpoint.executable);
                }
                continue;
            }
            news = true;
            let listener = Listener {
                handle: endpoint.handle.clone(),
                uid: endpoint.uid,
                port: endpoint.port,
                wildcard: endpoint.wildcard,
                executable: endpoint.executable.clone(),
                trouble: None,
            };
            if let Err(why) = prepare(&listener) {
                self.story.listener(&endpoint, &why);
            }
            self.listeners.insert(inode, listener);
        }
        let before = self.listeners.len();
        self.listeners.retain(|inode, _| alive.contains(inode));
        let lagging = self.listeners.values().any(|listener| listener.trouble.is_some());
        if news || lagging || self.listeners.len() != before {
            self.move_listeners();
        }
    }

    /// Gives each listener the usable addresses in place of those that are gone. A wildcard listener has them anyway.
    pub(super) fn move_listeners(&mut self) {
        let usable = self.usable();
        let mut said = Vec::new();
        for listener in self.listeners.values_mut().filter(|listener| !listener.wildcard) {
            let before = listener.trouble.take();
            match move_one(listener, &usable) {
                Ok(None) => {}
                Ok(Some(change)) => said.push((listener.clone(), change)),
                Err(why) => {
                    if before.as_ref() != Some(&why) {
                        said.push((listener.clone(), format!("could not be moved: {why}")));
                    }
                    listener.trouble = Some(why);
                }
            }
        }
        for (listener, text) in said {
            self.story.listener_moved(&listener.handle, listener.port, &text);
        }
    }
}

/// What has to be set before the first association comes: without Add-IP it could never be moved.
fn prepare(listener: &Listener) -> Result<(), String> {
    let socket = listener.handle.open().map_err(|error| error.to_string())?;
    let fd = socket.as_fd();
    let text = |error: std::io::Error| error.to_string();
    sockopt::set_reuse_port(fd, true).map_err(text)?;
    if !sockopt::auth_supported(fd, sockopt::FUTURE_ASSOC).map_err(text)? {
        sockopt::set_auth_supported(fd, sockopt::FUTURE_ASSOC, true).map_err(text)?;
    }
    if !sockopt::asconf_supported(fd, sockopt::FUTURE_ASSOC).map_err(text)? {
        sockopt::set_asconf_supported(fd, sockopt::FUTURE_ASSOC, true).map_err(text)?;
    }
    Ok(())
}

fn move_one(listener: &mut Listener, usable: &[IpAddr]) -> Result<Option<String>, String> {
    let socket = listener.handle.open().map_err(|error| error.to_string())?;
    let fd = socket.as_fd();
    // A socket that also carries associations is moved by their planners, in their order.
    if sockopt::socket_type(fd).is_ok_and(|kind| kind == libc::SOCK_SEQPACKET)
        && sockopt::assoc_ids(fd).is_ok_and(|ids| !ids.is_empty())
    {
        return Ok(None);
    }
    let bound: Vec<IpAddr> = sockopt::local_addrs(fd, sockopt::FUTURE_ASSOC)
        .map_err(|error| error.to_string())?
        .iter()
        .map(SocketAddr::ip)
        .filter(|address| !address.is_loopback())
        .collect();
    let mut change = Vec::new();
    for v6 in [false, true] {
        let family = |address: &&IpAddr| address.is_ipv6() == v6;
        if !bound.iter().any(|address| family(&address)) {
            continue;
        }
        let Some(newest) = usable.iter().find(family) else { continue };
        if !bound.contains(newest) {
            act::add(fd, *newest, listener.port).map_err(|error| error.to_string())?;
            change.push(format!("+ {newest}"));
        }
        for gone in bound.iter().filter(family).filter(|address| !usable.contains(address)) {
            act::remove(fd, *gone, listener.port).map_err(|error| error.to_string())?;
            change.push(format!("- {gone}"));
        }
    }
    Ok((!change.is_empty()).then(|| change.join(", ")))
}
