//! Sockets of other processes.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Gid, Uid};
use sctp_sys::adopt::{
    AdoptError, HandOverError, Process, Right, duplicate, holders_of, recv_sockets, send_sockets,
    socket_holders,
};
use sctp_sys::diag;
use sctp_sys::{Family, SendInfo, Socket, Style, sockopt};

use crate::common::*;

/// A process that holds a socket which nobody else has, as its standard output: `cat`, which ends when its
/// standard input is closed.
struct Holder {
    child: Child,
    inode: u64,
}

impl Holder {
    fn of(socket: impl Into<OwnedFd>, inode: u64) -> Self {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(socket.into()).spawn().unwrap();
        Self { child, inode }
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn duplicate(&self) -> Result<Socket, AdoptError> {
        duplicate(self.pid(), 1, self.inode)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// An association whose client is another process.
fn held(family: Family) -> (Holder, Socket) {
    let (client, server) = pair(family);
    let inode = client.inode().unwrap();
    (Holder::of(client, inode), server)
}

#[test]
fn the_socket_of_another_process_is_found_taken_and_moved() {
    in_namespace(|| {
        let (mut holder, server) = held(Family::V4);
        let [own, peer, new] = addresses(Family::V4);

        let snapshot = diag::snapshot().unwrap();
        let entry = snapshot.associations.iter().find(|a| a.local_port == own.port()).unwrap();
        assert_eq!(entry.inode, holder.inode);
        // `cat` may not have replaced the child's copy of us yet: its own descriptor is 1 at last.
        until("the child holds it", || {
            holders_of(&[holder.pid()]).get(&holder.inode).is_some_and(|h| h.contains(&(holder.pid(), 1)))
        });
        assert!(socket_holders()[&holder.inode].contains(&(holder.pid(), 1)));

        let duplicate = holder.duplicate().unwrap();
        assert_eq!(duplicate.inode().unwrap(), holder.inode);
        assert_eq!(sockopt::peer_addrs(duplicate.as_fd(), 0).unwrap(), [peer]);
        sockopt::bindx_add(duplicate.as_fd(), &[new]).unwrap();
        drop(duplicate);
        until("the peer knows the new address", || server.peer_addrs(0).unwrap().contains(&new));

        // The program goes on as if nothing had been.
        holder.child.stdin.as_mut().unwrap().write_all(b"still here").unwrap();
        assert_eq!(message(&server).1, b"still here");
        drop(holder);
        assert_eq!(server.recv(&mut Vec::new()).unwrap(), None);
    });
}

#[test]
fn a_process_that_is_not_there_is_told() {
    in_namespace(|| {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        child.wait().unwrap();
        assert!(matches!(duplicate(pid, 1, 1), Err(AdoptError::NoSuchProcess { pid: p }) if p == pid));
        assert!(matches!(duplicate(0, 1, 1), Err(AdoptError::NoSuchProcess { .. })));
        assert!(matches!(duplicate(-5, 1, 1), Err(AdoptError::NoSuchProcess { .. })));
    });
}

/// Runs something as an unprivileged user: on a thread of its own, since the system calls used change the
/// calling thread alone.
fn unprivileged<T: Send>(uid: u32, what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            what()
        });
        thread.join().unwrap()
    })
}

#[test]
fn an_unprivileged_user_is_told_which_right_is_missing() {
    in_namespace(|| {
        let (holder, _server) = held(Family::V4);
        let refused = unprivileged(65_534, || holder.duplicate().unwrap_err());
        match &refused {
            AdoptError::NotPermitted { pid, missing: Right::OtherUser { uid: 0 } } => {
                assert_eq!(*pid, holder.pid())
            }
            other => panic!("{other:?}"),
        }
        assert!(refused.to_string().contains("CAP_SYS_PTRACE"), "{refused}");
        // Of what it may not look into it finds nothing.
        assert!(unprivileged(65_534, || holders_of(&[holder.pid()])).is_empty());
    });
}

#[test]
fn a_user_is_kept_from_its_own_processes_by_yama_alone() {
    in_namespace(|| {
        const YAMA: &str = "/proc/sys/kernel/yama/ptrace_scope";
        const USER: u32 = 65_534;
        let [own, ..] = addresses(Family::V4);
        let socket = listener(Style::OneToOne, own);
        let inode = socket.inode().unwrap();
        // Yama lets a process trace its descendants: a shell starts this one and leaves it behind.
        let (keep, stdin) = UnixStream::pair().unwrap();
        let shell = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"])
            .arg("exec 3<&0; cat <&3 2>/dev/null & echo $! >&2")
            .stdin(OwnedFd::from(stdin))
            .stdout(OwnedFd::from(socket))
            .output()
            .unwrap();
        let pid: i32 = String::from_utf8(shell.stderr).unwrap().trim().parse().unwrap();
        until("it holds the socket", || {
            holders_of(&[pid]).get(&inode).is_some_and(|h| h.contains(&(pid, 1)))
        });

        let before = std::fs::read_to_string(YAMA).expect("these kernels have Yama");
        std::fs::write(YAMA, "1").unwrap();
        let refused = unprivileged(USER, || duplicate(pid, 1, inode).unwrap_err());
        std::fs::write(YAMA, "0").unwrap();
        let allowed = unprivileged(USER, || duplicate(pid, 1, inode).map(|socket| socket.inode().unwrap()));
        std::fs::write(YAMA, before.trim()).unwrap();
        drop(keep);
        assert!(
            matches!(refused, AdoptError::NotPermitted { missing: Right::Yama { scope: 1 }, .. }),
            "{refused:?}"
        );
        assert_eq!(allowed.unwrap(), inode);
    });
}

#[test]
fn a_descriptor_that_is_something_else_is_told() {
    in_namespace(|| {
        let (mine, theirs) = UnixStream::pair().unwrap();
        let fd: OwnedFd = theirs.into();
        let inode = std::fs::File::from(fd.try_clone().unwrap()).metadata().unwrap().ino();
        let holder = Holder::of(fd, inode);
        let pid = holder.pid();
        until("the child holds it", || holders_of(&[pid]).get(&inode).is_some_and(|h| h.contains(&(pid, 1))));
        assert!(matches!(holder.duplicate(), Err(AdoptError::NotSctp { fd: 1, .. })));
        drop(mine);
    });
}

#[test]
fn a_descriptor_that_was_reused_or_closed_is_stale() {
    in_namespace(|| {
        let (holder, _server) = held(Family::V4);
        let (pid, inode) = (holder.pid(), holder.inode);
        until("the child holds it", || holders_of(&[pid]).get(&inode).is_some_and(|h| h.contains(&(pid, 1))));
        assert!(matches!(duplicate(pid, 1, inode + 1), Err(AdoptError::Stale { fd: 1, .. })));
        assert!(matches!(duplicate(pid, 0, inode), Err(AdoptError::Stale { fd: 0, .. })));
        assert!(matches!(duplicate(pid, 99, inode), Err(AdoptError::Stale { fd: 99, .. })));
        assert!(Process { pid }.exists());
    });
}

#[test]
fn a_program_hands_its_sockets_over() {
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        let [own, ..] = addresses(Family::V4);
        let (program, agent) = UnixStream::pair().unwrap();
        send_sockets(&program, b"echo", &[client.as_fd(), server.as_fd()]).unwrap();
        let got = recv_sockets(&agent).unwrap().unwrap();
        assert_eq!(got.message, b"echo");
        let [a, b] = &got.sockets[..] else { panic!("{got:?}") };
        assert_eq!(
            (a.inode().unwrap(), b.inode().unwrap()),
            (client.inode().unwrap(), server.inode().unwrap())
        );
        assert_eq!(a.local_addrs(0).unwrap(), [own]);
        drop(got);
        // The program's are as before.
        client.send(&SendInfo::default(), b"x").unwrap();
        assert_eq!(message(&server).1, b"x");
    });
}

#[test]
fn a_hand_over_of_something_else_is_refused() {
    in_namespace(|| {
        let (client, _server) = pair(Family::V4);
        let (program, agent) = UnixStream::pair().unwrap();
        send_sockets(&program, b"", &[client.as_fd(), program.as_fd()]).unwrap();
        assert!(matches!(recv_sockets(&agent), Err(HandOverError::NotSctp(1))));
    });
}
