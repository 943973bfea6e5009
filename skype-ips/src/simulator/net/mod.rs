//! A network of hosts on simulated or real time: links, translators (NAT), TCP, and the programs
//! that run on the hosts.

pub mod program;
