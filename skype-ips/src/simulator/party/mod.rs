//! The programs that the hosts run, what can be asked of them, and what they report.

pub mod background;
mod figures;
mod settings;
pub mod skype;

use std::time::Duration;

use super::net::program::{Host, Instant, Program};

pub use figures::{CallFigures, Direction, Exchanges, Figures, FileFigures, Searches};
pub use settings::{
    Client, Generation, Opening, ProxyUse, Roles, Server, ServerKind, SuperNode, User,
};

/// A program of a scenario's party.
pub trait Party: Program {
    /// Does what the scenario says, as a person at the keyboard would have it done. What a
    /// program doesn't know is not asked of it: the scenario is checked before.
    fn order(&mut self, host: &mut dyn Host, order: &Order);

    /// What it has achieved so far. `now` closes what is still going on.
    fn figures(&self, now: Instant) -> Figures;
}

/// What a scenario's action has a party do.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Starts Skype and signs in.
    SignIn,
    /// Ends the program: all calls, files and connections with it.
    SignOut,
    /// Calls a user.
    Call {
        /// Whom.
        with: User,
        /// How long the call lasts from its first packet of media.
        lasting: Duration,
        /// Bits a second of video from both ends; `None`: voice alone.
        video: Option<u64>,
    },
    /// Sends a file.
    SendFile {
        /// To whom.
        to: User,
        /// Its length.
        bytes: u64,
    },
    /// Asks the directory for users, one after the other, evenly over some time.
    Search {
        /// How many questions.
        count: u32,
        /// Over how long.
        over: Duration,
    },
    /// Talks in writing: a message every few seconds.
    Chat {
        /// With whom.
        with: User,
        /// How long.
        lasting: Duration,
    },
    /// A background program goes on for so long at its usual pace.
    Run {
        /// How long.
        lasting: Duration,
    },
}
