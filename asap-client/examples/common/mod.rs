//! What the programs that compute have in common: their arguments, and the wish to end.
#![allow(dead_code, reason = "each program needs a part of it")]

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use asap_client::driver::{Config, RegistrarClient};
use asap_client::session::KeyRing;
use asap_client::session::service::Cookies;
use asap_client::wire::PoolHandle;
use tokio::signal::unix::{SignalKind, signal};

/// Every element of the pool has it, and nobody else.
const KEY: &[u8; 32] = b"a key of 32 octets, kept secret!";

/// `REGISTRAR:PORT ADDRESS POOL` and words behind them, some with a value: `sessions=20`.
pub(crate) struct Arguments {
    pub(crate) registrar: RegistrarClient,
    pub(crate) own: IpAddr,
    pub(crate) pool: PoolHandle,
    words: Vec<String>,
}

impl Arguments {
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let registrar: SocketAddr = arguments.next().ok_or("the registrar's address and port")?.parse()?;
        let own: IpAddr = arguments.next().ok_or("this host's address")?.parse()?;
        let pool = arguments.next().ok_or("the pool")?.parse()?;
        let (registrar, _) = RegistrarClient::spawn(Config::mobile(vec![vec![registrar]], None));
        registrar.set_local_addresses(vec![own]);
        Ok(Self { registrar, own, pool, words: arguments.collect() })
    }

    /// The value of a word, if it is there.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Box<dyn Error>>
    where
        T::Err: Error + 'static,
    {
        let given = |word: &String| word.split_once('=').is_some_and(|(before, _)| before == name);
        let Some(at) = self.words.iter().position(given) else { return Ok(None) };
        let word = self.words.remove(at);
        Ok(Some(word.split_once('=').map_or("", |(_, value)| value).parse()?))
    }

    /// Whether a word is there.
    pub(crate) fn has(&mut self, name: &str) -> bool {
        let at = self.words.iter().position(|word| word == name);
        at.map(|at| self.words.remove(at)).is_some()
    }

    /// How cookies are made: with the word `plain` as rsplib's elements do it.
    pub(crate) fn cookies(&mut self) -> Cookies {
        if self.has("plain") { Cookies::Plain } else { Cookies::Sealed(KeyRing::new(1, KEY)) }
    }

    /// There is nothing else.
    pub(crate) fn end(&self) -> Result<(), Box<dyn Error>> {
        match self.words.first() {
            Some(word) => Err(format!("{word} is not known").into()),
            None => Ok(()),
        }
    }
}

/// Waits until somebody wants this host back: SIGTERM or SIGINT.
pub(crate) async fn wanted_back() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
