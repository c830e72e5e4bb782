//! A pool element: answers the requests of sessions, and gives cookies now and then.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use asap_client::client::Event;
use asap_client::driver::service::{self, Service, Session};
use asap_client::driver::{Config, Events, RegistrarClient};
use asap_client::session::KeyRing;
use asap_client::session::service::Cookies;
use asap_client::wire::Policy;
use clap::Args;

use super::addresses::follow;
use super::digest::Digest;
use super::message::Message;
use super::{POOL, terminated};

/// Every element of the pool has it.
const KEY: &[u8; 32] = b"of the testbed's pool, no secret";

/// Requests from cookie to cookie: what came since the last one, the next element has to do again.
const COOKIE_EVERY: u64 = 10;

/// How long the registrar may take to let it go.
const LEAVE: Duration = Duration::from_secs(2);

/// The element's arguments.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The registrar.
    #[arg(long)]
    registrar: SocketAddr,
    /// Own address; the wildcard (0.0.0.0 or ::) stands for all, present and future.
    #[arg(long)]
    local: IpAddr,
    /// Own port.
    #[arg(long)]
    port: u16,
    /// Its identifier.
    #[arg(long)]
    id: u32,
}

pub(super) async fn run(arguments: &Arguments) -> Result<()> {
    let (registrar, events) = RegistrarClient::spawn(Config::mobile(vec![vec![arguments.registrar]], None));
    let mut config = service::Config::new(POOL.parse()?, Cookies::Sealed(KeyRing::new(1, KEY)));
    config.service.id = arguments.id;
    let mut service = Service::bind(&[SocketAddr::new(arguments.local, arguments.port)], config)?;
    service.join(&registrar, Policy::RoundRobin, None);
    let served = tokio::select! {
        served = serve(&mut service) => served,
        () = tell(events) => bail!("the client of the registrar has ended"),
        done = follow(|usable| registrar.set_local_addresses(usable)) => done,
        signal = terminated() => Ok(signal?),
    };
    service.leave();
    registrar.close(LEAVE).await;
    served
}

async fn serve(service: &mut Service) -> Result<()> {
    println!("listening");
    while let Some(session) = service.accept().await {
        tokio::spawn(attend(session));
    }
    bail!("the service's socket is broken")
}

/// Says what the registrar says.
async fn tell(mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            Event::Registered { addresses, .. } => println!("registered at {addresses:?}"),
            event => println!("{event:?}"),
        }
    }
}

async fn attend(session: Session) {
    let restored = session.restored().and_then(|restored| Digest::restored(&restored.state));
    println!("session {}: restored: {}", session.id(), restored.is_some());
    let mut digest = restored.unwrap_or_default();
    while let Some(request) = session.recv().await {
        let Some(message) = Message::decode(&request.octets) else {
            println!("session {}: a message that is no request", session.id());
            break;
        };
        digest.take(message.number);
        let mut given = session.send(digest.answer(message)).await.is_ok();
        if given && request.number.is_multiple_of(COOKIE_EVERY) {
            given = session.cookie(digest.state(), None).await.is_ok();
        }
        if !given {
            break;
        }
    }
    println!("session {}: {:?}", session.id(), session.left());
}
