//! The client: sends a numbered message in each association at a steady pace and keeps account of the echoes.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use sctp_sys::event::{AssocChange, Notification};
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{AssocId, FUTURE_ASSOC, Received, SendInfo};
use tokio::time::{Instant, MissedTickBehavior};

use super::message::Message;
use super::record::{AssociationRecord, ClientRecord};
use super::{Common, Shape, terminated};
use crate::clock;

/// The client's arguments.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The server.
    #[arg(long)]
    peer: IpAddr,
    /// The server's port.
    #[arg(long, default_value_t = 7000)]
    peer_port: u16,
    /// How many associations, each with a socket of its own; ports count up.
    #[arg(long, default_value_t = 1)]
    count: u16,
    /// Milliseconds from message to message.
    #[arg(long, default_value_t = 20)]
    interval: u64,
    /// Seconds to send; without it until SIGTERM.
    #[arg(long)]
    seconds: Option<u64>,
    /// Seconds without any echo after which missing ones are given up at the end; a second SIGTERM does so at once.
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

/// Associations that are set up at the same time.
const AT_ONCE: usize = 16;

/// One association and its socket.
struct Line {
    socket: AsyncSocket,
    assoc: Cell<Option<AssocId>>,
}

type Shared = Rc<RefCell<ClientRecord>>;

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let peer = arguments.common.address(arguments.peer, arguments.peer_port);
    let record = Shared::default();
    let mut sockets = Vec::new();
    let many = arguments.common.shape == Shape::OneToMany;
    for index in 0..arguments.count {
        let socket = arguments.common.socket(arguments.common.port + index).context("the client's socket")?;
        let socket = AsyncSocket::new(socket)?;
        record.borrow_mut().associations.push(AssociationRecord::default());
        // A one-to-many socket names the association; its number comes when it is up.
        sockets.push(Line { socket, assoc: Cell::new((!many).then_some(FUTURE_ASSOC)) }.into());
    }
    let sockets: Vec<Rc<Line>> = sockets;
    let connecting = tokio::task::LocalSet::new();
    let connected = async {
        for some in sockets.chunks(AT_ONCE) {
            let connect = |line: &Rc<Line>| {
                let line = Rc::clone(line);
                tokio::task::spawn_local(async move { line.socket.connect(peer).await })
            };
            let tasks: Vec<_> = some.iter().map(connect).collect();
            for (task, line) in tasks.into_iter().zip(some) {
                task.await?.with_context(|| format!("no association with {peer}"))?;
                arguments.common.hand_over(line.socket.get_ref())?;
            }
        }
        anyhow::Ok(())
    };
    connecting.run_until(connected).await?;
    println!("connected");
    let tasks = tokio::task::LocalSet::new();
    for (index, line) in sockets.iter().enumerate() {
        tasks.spawn_local(listen(Rc::clone(line), Rc::clone(&record), index));
    }
    tasks
        .run_until(async {
            let limit = Duration::from_secs(arguments.seconds.unwrap_or(u64::MAX / 1_000_000_000));
            tokio::select! {
                () = send(&sockets, &record, arguments.interval) => {}
                () = tell(&record) => {}
                () = tokio::time::sleep(limit) => {}
                signal = terminated() => signal?,
            }
            tokio::select! {
                () = drained(&record, Duration::from_secs(arguments.patience)) => {}
                () = tell(&record) => {}
                signal = terminated() => signal?,
            }
            anyhow::Ok(())
        })
        .await?;
    if let Some(file) = &arguments.common.json {
        std::fs::write(file, serde_json::to_vec(&*record.borrow())?)?;
    }
    if record.borrow().associations.iter().any(|association| association.sent.is_empty()) {
        bail!("an association ended before the first message");
    }
    Ok(())
}

/// Sends at a steady pace, for as long as an association is there.
async fn send(lines: &[Rc<Line>], record: &Shared, interval: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while record.borrow().associations.iter().any(|association| !association.lost) {
        ticks.tick().await;
        for (index, line) in lines.iter().enumerate() {
            let Some(assoc) = line.assoc.get() else { continue };
            if record.borrow().associations[index].lost {
                continue;
            }
            let number = record.borrow_mut().associations[index].send(clock::now());
            let message = Message { association: index as u32, number };
            let info = SendInfo { ppid: 42, assoc, ..SendInfo::default() };
            // A full send buffer holds this association up, not the others.
            if line.socket.get_ref().send(&info, &message.encode()).is_err() {
                record.borrow_mut().associations[index].unsend();
            }
        }
    }
}

/// Takes in the echoes of one association until it ends.
async fn listen(line: Rc<Line>, record: Shared, index: usize) {
    let mut buffer = Vec::new();
    loop {
        let received = line.socket.recv(&mut buffer).await;
        let now = clock::now();
        let association = &mut record.borrow_mut().associations[index];
        match received {
            Ok(Some(Received::Message(_))) => match Message::decode(&buffer) {
                Some(message) if message.association as usize == index => {
                    association.echo(message.number, now)
                }
                _ => association.foreign += 1,
            },
            Ok(Some(Received::Notification(Notification::AssocChange { state, assoc, .. }))) => {
                if state == AssocChange::CommUp {
                    line.assoc.set(Some(line.assoc.get().unwrap_or(assoc)));
                } else {
                    association.lost = true;
                    return;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                association.lost = true;
                return;
            }
        }
    }
}

/// Until every echo has come, every association with a missing one is lost, or none came for so long.
pub(super) async fn drained(record: &Shared, patience: Duration) {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let (mut last, mut since) = (0, Instant::now());
    loop {
        looks.tick().await;
        let record = record.borrow();
        if record.associations.iter().all(|association| association.lost || association.complete()) {
            return;
        }
        let echoes = record.associations.iter().map(AssociationRecord::echoes).sum();
        if echoes != last {
            (last, since) = (echoes, Instant::now());
        }
        if since.elapsed() >= patience {
            return;
        }
    }
}

/// Says how far it has come.
pub(super) async fn tell(record: &Shared) {
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    loop {
        looks.tick().await;
        let progress = record.borrow().progress(clock::now());
        if let Ok(line) = serde_json::to_string(&progress) {
            println!("{line}");
        }
    }
}
