//! What befalls the elements and their cookies.

use std::collections::BTreeMap;
use std::time::Duration;

use asap_client::random::below;
use asap_client::session::KeyRing;
use asap_client::session::service::{self, Cookies, Service};
use asap_client::session::user::{Down, Input};
use asap_client::wire::{Message, decode};

use super::{ELEMENTS, Happening, World, element, pool};

/// The time of day when the clock begins.
const WALL: Duration = Duration::from_millis(1_795_000_000_000);

/// Different for all elements ever started.
fn unique(host: usize, starts: u32) -> [u8; 16] {
    (u128::try_from(host).unwrap() << 32 | u128::from(starts)).to_be_bytes()
}

impl World {
    /// Where harm is done to cookies: a forged one now and then.
    pub(super) fn harmed(&mut self, mut octets: Vec<u8>) -> Vec<u8> {
        if !self.harmful || !self.one_in(4) {
            return octets;
        }
        if let Ok(decoded) = decode(&octets)
            && let Message::Cookie(mut sealed) = decoded.message
            && let Some(last) = sealed.last_mut()
        {
            *last ^= 1;
            octets = Message::Cookie(sealed).encode();
        }
        octets
    }

    pub(super) fn start_host(&mut self, at: usize) {
        let mut config = service::Config::new(
            pool(),
            u32::try_from(at).unwrap() + 1,
            Cookies::Sealed(KeyRing::new(1, &[7; 32])),
            unique(at, self.hosts[at].starts + 1),
            (self.clock(), WALL + self.now),
        );
        config.card = if self.one_in(2) { vec![element((at + 1) % ELEMENTS)] } else { Vec::new() };
        let host = &mut self.hosts[at];
        host.starts += 1;
        (host.service, host.gone, host.since) = (Some(Service::new(config)), false, self.now);
        (host.apps, host.work) = (BTreeMap::new(), BTreeMap::new());
    }

    fn kill(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.service = None;
        (host.since, host.apps, host.work) = (self.now, BTreeMap::new(), BTreeMap::new());
        let span = self.between(1, 150);
        self.at(span, Happening::Start(at));
    }

    /// Something bad, mostly to the element where the user is; then the next in a while.
    pub(super) fn harm(&mut self) {
        let span = self.between(10, 150);
        self.at(span, Happening::Harm);
        let here = self.user.element().map_or(0, |id| usize::try_from(id).unwrap() - 1);
        let at = if self.one_in(4) { (here + 1) % ELEMENTS } else { here };
        let starts = self.hosts[at].starts;
        let links: Vec<u64> = self
            .links
            .iter()
            .filter(|(_, link)| link.host == at && link.starts == starts && link.there && !link.cut)
            .map(|(name, _)| *name)
            .collect();
        if self.hosts[at].service.is_none() {
            return;
        }
        match below(self.random.draw(), 6) {
            // The process dies, its host tells the user.
            0 | 1 => {
                for link in links {
                    self.reach_user(link, |link| Happening::Down(link, Down::Lost));
                }
                self.kill(at);
            }
            // The host is gone: nobody tells.
            2 => {
                for link in &links {
                    self.links.get_mut(link).unwrap().cut = true;
                    let span = self.between(20, 80);
                    self.at(span, Happening::Unreachable(*link));
                }
                self.hosts[at].gone = true;
                self.kill(at);
            }
            // The path is cut, and the element does not notice for a while; nor the user, but for the missing answers.
            3 => {
                for link in links {
                    self.links.get_mut(&link).unwrap().cut = true;
                    let span = self.between(100, 5000);
                    self.at(span, Happening::Gone(link));
                }
            }
            // The program goes elsewhere, whatever is under way.
            4 => self.give(Input::Leave { to: None, report: false }),
            // It shuts down in good order.
            _ => {
                for link in links {
                    self.reach_user(link, |link| Happening::Down(link, Down::Shutdown));
                }
                self.kill(at);
            }
        }
    }
}
