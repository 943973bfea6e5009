//! What the kernel program and user space share, `no_std` and free of I/O.
//!
//! * [`parse`]: from the first bytes of a frame to addresses, ports and where the payload starts
//! * [`prefilter`]: numbered predicates that say whether a payload could be evidence
//! * [`gate`]: the per-packet decision, generic over packet access and tables
//! * [`bucket`]: token bucket arithmetic; [`share`]: a host's part of a bucket that many share
//! * [`layout`]: the plain data in the tables, with layout asserts
//! * [`mark`]: the 4-bit code that travels in the packet mark
//! * [`lcg`]: the arithmetic of the Skype random generator
//!
//! The eBPF program and the replay driver compile this very code, so a capture and the wire
//! are judged alike.
#![no_std]

pub mod bucket;
pub mod gate;
pub mod layout;
pub mod lcg;
pub mod mark;
pub mod parse;
pub mod prefilter;
pub mod share;
