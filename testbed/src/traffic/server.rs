//! The server: echoes every message in the association that it came in.

use std::cell::RefCell;
use std::os::fd::AsFd as _;
use std::rc::Rc;

use anyhow::Context;
use clap::Args;
use sctp_sys::event::{AssocChange, Notification};
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{Received, SendInfo, Style};

use super::record::ServerRecord;
use super::{Common, terminated};

/// The server's arguments.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
}

type Shared = Rc<RefCell<ServerRecord>>;

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let socket = arguments.common.socket(arguments.common.port).context("the server's socket")?;
    socket.listen(128)?;
    let socket = AsyncSocket::new(socket)?;
    let record = Shared::default();
    println!("listening");
    let serve = async {
        match arguments.common.shape.style() {
            Style::OneToMany => echo(&socket, &record, false).await,
            Style::OneToOne => {
                let tasks = tokio::task::LocalSet::new();
                tasks
                    .run_until(async {
                        loop {
                            let Ok((accepted, _)) = socket.accept().await else { continue };
                            if let Err(error) = sctp_sys::sockopt::set_nodelay(accepted.as_fd(), true) {
                                eprintln!("an accepted socket: {error}");
                                continue;
                            }
                            record.borrow_mut().accepted += 1;
                            let record = Rc::clone(&record);
                            tokio::task::spawn_local(async move { echo(&accepted, &record, true).await });
                        }
                    })
                    .await
            }
        }
    };
    tokio::select! {
        () = serve => {}
        signal = terminated() => signal?,
    }
    if let Some(file) = &arguments.common.json {
        std::fs::write(file, serde_json::to_vec(&*record.borrow())?)?;
    }
    Ok(())
}

/// Until the socket's association ends, or the socket itself.
async fn echo(socket: &AsyncSocket, record: &Shared, one: bool) {
    let mut buffer = Vec::new();
    let mut reported = false;
    loop {
        match socket.recv(&mut buffer).await {
            Ok(Some(Received::Message(info))) => {
                let answer = SendInfo {
                    stream: info.stream,
                    ppid: info.ppid,
                    assoc: if one { 0 } else { info.assoc },
                    ..SendInfo::default()
                };
                if socket.send(&answer, &buffer).await.is_ok() {
                    record.borrow_mut().echoed += 1;
                }
            }
            Ok(Some(Received::Notification(Notification::AssocChange { state, .. }))) => match state {
                AssocChange::CommUp if !one => record.borrow_mut().accepted += 1,
                AssocChange::CommLost => {
                    reported = true;
                    record.borrow_mut().lost += 1;
                }
                _ => {}
            },
            Ok(Some(_)) => {}
            Ok(None) if one => return,
            Err(_) if one => {
                record.borrow_mut().lost += u64::from(!reported);
                return;
            }
            // The error of one association of many has its notification.
            Ok(None) | Err(_) => {}
        }
    }
}
