//! A Skype network for testers: the service is gone, these programs speak as its parties did.
//!
//! [`speech`] is the bytes; [`net`] the hosts, links and clock, [`party`] the programs. Nothing here does input or output
//! or reads a clock: the `lab` driver lets the same parties talk through a real gateway in real
//! time, and `lab generate` writes what a gateway would see on simulated time.
//!
//! Independence: nothing here imports `detect`, `hosts` or `engine`. Only the generator's
//! arithmetic is shared, so that a mistake about a framing on either side shows.

pub mod gateway;
pub mod labels;
pub mod net;
pub mod party;
pub mod play;
pub mod record;
pub mod scenario;
pub mod speech;
