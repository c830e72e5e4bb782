//! A client that pings a pool and sees an unbroken row of pongs, whatever becomes of the elements.
//!
//! `pingpong-client REGISTRAR:PORT ADDRESS [POOL [COUNT [PAUSE]]]`: the registrar's address, and this host's own; how many
//! pings, and milliseconds between two of them.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use asap_client::driver::session::{self, Session};
use asap_client::driver::{Config, RegistrarClient};
use asap_client::session::user::{Exchange, SendOptions};

const PPID: u32 = 33;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a program of its own reads the clock")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let registrar: SocketAddr = arguments.next().ok_or("the registrar's address and port")?.parse()?;
    let own: IpAddr = arguments.next().ok_or("this host's address")?.parse()?;
    let pool = arguments.next().unwrap_or_else(|| "PingPongPool".into()).parse()?;
    let count: u64 = arguments.next().map_or(Ok(100), |count| count.parse())?;
    let pause: u64 = arguments.next().map_or(Ok(100), |pause| pause.parse())?;

    let (registrar, _) = RegistrarClient::spawn(Config::mobile(vec![vec![registrar]], None));
    registrar.set_local_addresses(vec![own]);
    let mut config = session::Config::new(pool, Exchange::Transactions);
    config.session.waits.patience = Duration::from_secs(60);
    let session = Session::connect(&registrar, config).await?;
    let options = SendOptions { ppid: PPID, ..SendOptions::default() };
    let mut longest = Duration::ZERO;
    let mut pace = tokio::time::interval(Duration::from_millis(pause.max(1)));
    for number in 1..=count {
        pace.tick().await;
        let mut ping = vec![1, 0, 0, 12];
        ping.extend_from_slice(&number.to_be_bytes());
        let sent = Instant::now();
        session.send_with(ping, options).await?;
        let pong = session.recv().await?.octets;
        longest = longest.max(sent.elapsed());
        let expected = [&[2, 0, 0, 20][..], &number.to_be_bytes(), &number.to_be_bytes()].concat();
        if pong != expected {
            return Err(format!("pong {number} is {pong:02x?}").into());
        }
        println!("pong {number}");
    }
    let counters = session.counters();
    session.close().await;
    println!("{count} pongs in order, longest pause {} ms, {counters:?}", longest.as_millis());
    Ok(())
}
