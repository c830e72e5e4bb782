//! What every system call here needs.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A message header over a name, one vector and control data.
pub(crate) fn message(name: &mut [u8], iov: &mut libc::iovec, control: &mut [u8]) -> libc::msghdr {
    // SAFETY: msghdr is integers and pointers, for which zero bits are a value.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    if !name.is_empty() {
        msg.msg_name = name.as_mut_ptr().cast();
        msg.msg_namelen = name.len() as libc::socklen_t;
    }
    msg.msg_iov = iov;
    msg.msg_iovlen = 1;
    if !control.is_empty() {
        msg.msg_control = control.as_mut_ptr().cast();
        msg.msg_controllen = control.len();
    }
    msg
}

/// An error number for a negative answer.
pub(crate) fn check(done: libc::c_int) -> io::Result<()> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Calls again while signals interrupt.
pub(crate) fn retry<T: PartialOrd + Default>(mut call: impl FnMut() -> T) -> io::Result<T> {
    loop {
        let done = call();
        if done >= T::default() {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Takes a descriptor that a system call has just made.
pub(crate) fn own(fd: RawFd) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: a system call has just returned it to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
