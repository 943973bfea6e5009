//! Questions for the directory: super nodes are asked where a user is, by datagram, else over TCP.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::Duration;

use super::super::endpoint::Request;
use super::super::message::Message;
use super::{Asked, ClientProgram};
use crate::simulator::net::program::{Host, Instant};
use crate::simulator::party::Searches;

/// How long one way of asking is given.
const PATIENCE: Duration = Duration::from_millis(4_500);
/// How often a question is asked before it is given up.
const TRIES: u32 = 4;

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The person at the keyboard.
    Order,
    /// The session of that number.
    Session(u32),
}

#[derive(Clone, Debug)]
struct Question {
    user: u32,
    why: Why,
    tries: u32,
    /// When it is asked again, or given up.
    again: Instant,
    /// The datagram that waits for an answer, and whom it went to.
    asked: Option<(Request, SocketAddrV4)>,
}

/// Questions that wait for their answers.
#[derive(Debug, Default)]
pub(super) struct Directory {
    questions: Vec<Question>,
    /// Questions of an order that are still to be asked: when, and for whom.
    ordered: VecDeque<(Instant, u32)>,
    /// Whose turn it is to be asked.
    turn: usize,
    pub(super) figures: Searches,
}

impl Directory {
    /// When something is due.
    pub(super) fn wake(&self) -> Option<Instant> {
        let again = self.questions.iter().map(|question| question.again);
        again.chain(self.ordered.iter().map(|next| next.0)).min()
    }

    /// Nothing is asked any more.
    pub(super) fn clear(&mut self) {
        self.questions.clear();
        self.ordered.clear();
    }

    /// `count` questions, evenly over some time from now on, for these users in turn.
    pub(super) fn order(&mut self, now: Instant, count: u32, over: Duration, users: &[u32]) {
        let when = |index| now + over * index / count.max(1);
        let turns = (0..count).zip(users.iter().copied().cycle());
        self.ordered
            .extend(turns.map(|(index, user)| (when(index), user)));
    }

    /// Takes the questions that this answers.
    fn answered(&mut self, is: impl Fn(&Question) -> bool) -> Vec<Why> {
        let answered = self.questions.iter().filter(|question| is(question));
        let why = answered.map(|question| question.why).collect();
        self.questions.retain(|question| !is(question));
        why
    }
}

impl ClientProgram {
    /// Asks where a user is.
    pub(super) fn ask_directory(&mut self, host: &mut dyn Host, user: u32, why: Why) {
        self.directory.figures.asked += 1;
        self.directory.questions.push(Question {
            user,
            why,
            tries: 0,
            again: host.now(),
            asked: None,
        });
        self.poll_directory(host);
    }

    /// Asks what is due.
    pub(super) fn poll_directory(&mut self, host: &mut dyn Host) {
        let now = host.now();
        while let Some((_, user)) = (self.directory.ordered.front()).filter(|next| next.0 <= now) {
            let user = *user;
            self.directory.ordered.pop_front();
            self.ask_directory(host, user, Why::Order);
        }
        let mut failed = Vec::new();
        for index in 0..self.directory.questions.len() {
            if self.directory.questions[index].again <= now {
                if self.directory.questions[index].tries == TRIES {
                    failed.push(index);
                } else {
                    self.ask_again(host, index);
                }
            }
        }
        for index in failed.into_iter().rev() {
            let question = self.directory.questions.remove(index);
            self.answer(host, question.why, None, false);
        }
    }

    /// First by datagram, then over the super node's connection, then by datagram to another.
    fn ask_again(&mut self, host: &mut dyn Host, index: usize) {
        let now = host.now();
        let udp = self.udp_works(now);
        let question = &mut self.directory.questions[index];
        let (user, tries) = (question.user, question.tries);
        question.tries += 1;
        question.again = now + PATIENCE;
        let message = Message::Search { user };
        let by_datagram = udp && tries % 2 == 0;
        let node = match question.why {
            // Questions without a hurry go round, those of a call to the own super node first.
            Why::Session(_) if tries == 0 => self.super_node(),
            _ => self.next_node(),
        };
        match node.filter(|_| by_datagram) {
            Some(node) => {
                let request = self.endpoint.request(host, node, &message);
                self.asked.insert(request, Asked::Search);
                self.directory.questions[index].asked = Some((request, node));
            }
            None => {
                self.tell_super_node(host, &message);
            }
        }
    }

    fn next_node(&mut self) -> Option<SocketAddrV4> {
        let known = self.nodes.len();
        self.directory.turn += 1;
        self.nodes
            .get(self.directory.turn % known.max(1))
            .copied()
            .or(self.super_node())
    }

    /// An answer by datagram: `found` is the user's super node, if there is such a user.
    pub(super) fn answered_by_datagram(
        &mut self,
        host: &mut dyn Host,
        request: Request,
        found: Option<SocketAddrV4>,
    ) {
        let is = |question: &Question| question.asked.is_some_and(|asked| asked.0 == request);
        for why in self.directory.answered(is) {
            self.answer(host, why, found, true);
        }
    }

    /// An answer over the super node's connection.
    pub(super) fn answered_over_tcp(
        &mut self,
        host: &mut dyn Host,
        user: u32,
        found: Option<SocketAddrV4>,
    ) {
        let is = |question: &Question| question.user == user;
        for why in self.directory.answered(is) {
            self.answer(host, why, found, true);
        }
    }

    fn answer(
        &mut self,
        host: &mut dyn Host,
        why: Why,
        found: Option<SocketAddrV4>,
        answered: bool,
    ) {
        self.directory.figures.answered += u64::from(answered);
        if let Why::Session(number) = why {
            self.located(host, number, found);
        }
    }
}
