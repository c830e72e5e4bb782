//! An element of a pool that answers pings with pongs, numbered over all elements.
//!
//! `pingpong-server REGISTRAR:PORT ADDRESS [POOL [plain]]`: the registrar's address, and this host's own. Start several,
//! end any of them whenever you like, and see that `pingpong-client` notices nothing.
//!
//! Messages and state are those of rsplib's ping-pong service. The cookies are sealed, which rsplib's are not: with
//! `plain`, which is for pools with elements of rsplib's, they are not either, and believed as they come.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};

use asap_client::driver::service::{self, Service, Session};
use asap_client::driver::{Config, RegistrarClient};
use asap_client::session::KeyRing;
use asap_client::session::service::Cookies;
use asap_client::wire::Policy;

/// Every element of the pool has it, and nobody else.
const KEY: &[u8; 32] = b"a key of 32 octets, kept secret!";

const PING: u8 = 1;
const PONG: u8 = 2;
const PPID: u32 = 33;

/// What a state begins with; the number of the next pong is behind it.
const MAGIC: &[u8; 8] = b"<PP-TD1>";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let registrar: SocketAddr = arguments.next().ok_or("the registrar's address and port")?.parse()?;
    let own: IpAddr = arguments.next().ok_or("this host's address")?.parse()?;
    let pool = arguments.next().unwrap_or_else(|| "PingPongPool".into()).parse()?;

    let (registrar, _) = RegistrarClient::spawn(Config::mobile(vec![vec![registrar]], None));
    registrar.set_local_addresses(vec![own]);
    let cookies = match arguments.next().as_deref() {
        Some("plain") => Cookies::Plain,
        Some(other) => return Err(format!("{other} is not known").into()),
        None => Cookies::Sealed(KeyRing::new(1, KEY)),
    };
    let config = service::Config::new(pool, cookies);
    let mut service = Service::bind(&[SocketAddr::new(own, 0)], config)?;
    service.join(&registrar, Policy::RoundRobin, None);
    println!("element {:#010x} serves at port {}", service.id(), service.port());
    while let Some(user) = service.accept().await {
        tokio::spawn(play(user));
    }
    Ok(())
}

async fn play(user: Session) {
    let mut next = user.restored().and_then(|restored| next_pong(&restored.state)).unwrap_or(1);
    println!("session {}: pong {next} is next", user.id());
    while let Some(message) = user.recv().await {
        let Some(pong) = pong(&message.octets, next) else { continue };
        // A plain state may say anything.
        next = next.wrapping_add(1);
        let state = [&MAGIC[..], &next.to_be_bytes()].concat();
        // Without a cookie, the next element would begin at the last one that was given.
        if user.send_with(pong, PPID, false).await.is_err() || user.cookie(state, None).await.is_err() {
            break;
        }
    }
    println!("session {}: {:?}", user.id(), user.left());
}

/// The number of the next pong, if this is a state.
fn next_pong(state: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(state.strip_prefix(MAGIC)?.try_into().ok()?))
}

/// The answer to a ping, if it is one: type, flags, length, the ping's number, the pong's number, and what else it had.
fn pong(ping: &[u8], number: u64) -> Option<Vec<u8>> {
    let (header, rest) = ping.split_first_chunk::<4>()?;
    let (ping_number, data) = rest.split_first_chunk::<8>()?;
    if header[0] != PING {
        return None;
    }
    let length = u16::try_from(ping.len() + 8).ok()?.to_be_bytes();
    Some([&[PONG, header[1]], &length[..], ping_number, &number.to_be_bytes(), data].concat())
}
