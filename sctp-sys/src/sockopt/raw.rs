//! getsockopt and setsockopt, typed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::abi::{IPPROTO_SCTP, Plain};

/// Sets a plain option.
pub(crate) fn set<T: Plain>(fd: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is valid for reads of its size during the call; the kernel keeps no pointer.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets an option of bytes. The answer is what the call returned (an association for CONNECTX).
pub(crate) fn set_bytes(fd: BorrowedFd<'_>, option: i32, bytes: &[u8]) -> io::Result<i32> {
    let len =
        libc::socklen_t::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `bytes` is valid for reads of `len` octets during the call.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), IPPROTO_SCTP, option, bytes.as_ptr().cast(), len) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
}

/// Reads a plain option; `value` tells the kernel what is asked for (association, address). Says how many
/// octets the kernel wrote.
pub(crate) fn get<T: Plain>(fd: BorrowedFd<'_>, level: i32, option: i32, value: &mut T) -> io::Result<usize> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is valid for reads and writes of `len` octets, any bits are a value of it.
    let done = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, option, std::ptr::from_mut(value).cast(), &raw mut len)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(len as usize) }
}

/// Reads an option of variable length into `buffer` (whose beginning says what is asked for), which is cut
/// to what the kernel wrote.
pub(crate) fn get_bytes(fd: BorrowedFd<'_>, option: i32, buffer: &mut Vec<u8>) -> io::Result<()> {
    let len = get_slice(fd, option, buffer)?;
    buffer.truncate(len);
    Ok(())
}

/// As [`get_bytes`], with the length that the kernel names, which is not the one that it wrote for every option.
pub(crate) fn get_slice(fd: BorrowedFd<'_>, option: i32, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len =
        libc::socklen_t::try_from(buffer.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `buffer` is valid for reads and writes of `len` octets; the kernel writes no more than that.
    let done = unsafe {
        libc::getsockopt(fd.as_raw_fd(), IPPROTO_SCTP, option, buffer.as_mut_ptr().cast(), &raw mut len)
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(len as usize)
}

/// An answer of the kernel that makes no sense.
pub(crate) fn nonsense(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the kernel's answer makes no sense: {what}"))
}
