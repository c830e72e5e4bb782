//! Safe access to the Linux kernel's SCTP.
