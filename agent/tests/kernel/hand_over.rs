//! A program hands its SCTP sockets over to the daemon through the control socket.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use roam_agent::associations::Survey;
use roam_agent::control::{AdoptReport, Order, Reply, serve};
use roam_agent::decisions::Decisions;
use sctp_sys::adopt::send_sockets;
use sctp_sys::{Family, Socket, Style, sockopt};
use tokio::sync::mpsc;

#[test]
fn a_programs_socket_reaches_the_daemon_and_works_there() {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root: it makes a network namespace");
    let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.unwrap().success());
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let program = {
        let socket = Socket::new(Style::OneToOne, Family::V4).expect("this test needs a kernel with SCTP");
        let path = directory.path().join("ctl.sock");
        move || {
            let mut stream = BufReader::new(UnixStream::connect(path).unwrap());
            stream.get_ref().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut answer = String::new();
            stream.read_line(&mut answer).unwrap();
            // The program binds it; the daemon is told the port by its copy.
            socket.bind("127.0.0.1:7001".parse().unwrap()).unwrap();
            let message = b"{\"id\":5,\"request\":\"handover\"}";
            send_sockets(stream.get_ref(), message, &[socket.as_fd(), socket.as_fd()]).unwrap();
            answer.clear();
            stream.read_line(&mut answer).unwrap();
            answer
        }
    };
    let answer = runtime.block_on(async {
        let (commands, mut queue) = mpsc::channel(1);
        let control = serve(directory.path(), commands, Decisions::default()).unwrap();
        let program = tokio::task::spawn_blocking(program);
        let command = queue.recv().await.unwrap();
        let Order::HandOver { sockets } = command.order else { panic!("{:?}", command.order) };
        let local = sockopt::local_addrs(sockets[0].as_fd(), 0).unwrap();
        assert_eq!(local, ["127.0.0.1:7001".parse().unwrap()]);
        assert_eq!(command.requester.pid, std::process::id().cast_signed());
        let report = AdoptReport { pid: 1, sockets: sockets.len(), left_out: vec![] };
        command.reply.send(Ok(Reply::HandedOver(report))).unwrap();
        let answer = program.await.unwrap();
        control.stop();
        answer
    });
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["id"], 5);
    assert_eq!(answer["result"]["handed-over"]["sockets"], 2);
}

#[test]
fn a_user_may_hand_over_only_so_many_sockets_and_none_of_somebody_elses() {
    let mut survey = Survey::default();
    let socket = Socket::new(Style::OneToOne, Family::V4).expect("this test needs a kernel with SCTP");
    let copy = || Socket::from(socket.as_fd().try_clone_to_owned().unwrap());
    let own = std::process::id().cast_signed();
    let taken = (0..1_000).take_while(|inode| survey.take(own, Some(1000), *inode, copy()).is_ok()).count();
    assert_eq!(taken, 256);
    survey.take(own, Some(1000), 5, copy()).expect("one that is there already takes no more room");
    survey.take(own, Some(1001), 5, copy()).expect_err("another user's");
    survey.take(own, Some(1001), 1_000, copy()).expect("each user has his own share");
    survey.take(own, None, 5, copy()).expect("root and the daemon's own user may");
}
