//! Openings through a proxy outside: the tests start again behind its consent.

use std::net::SocketAddrV4;

use proptest::prelude::*;
use skype_ips::simulator::speech::key_exchange::{self, MAX_PADDING};
use skype_ips::simulator::speech::proxy::Proxy;
use skype_ips::simulator::speech::{Process, encrypted};

use crate::found::cases;
use crate::openings::Opening;
use crate::script::{Host, Script};
use crate::trial;

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn every_opening_is_found_through_every_proxy(
        seed: u64,
        proxy in prop::sample::select(Proxy::ALL.to_vec()),
        opening in prop::sample::select(Opening::ALL.to_vec()),
    ) {
        let mut script = Script::new(seed);
        let mut host = Host::client(&mut script.rng);
        let target = script.peer();
        let generator = &mut host.process.generator;
        let turns = match opening {
            // Padding that suffices.
            Opening::KeyExchange => {
                let padding = [(); 2].map(|()| script.rng.usize(5..=MAX_PADDING));
                let mut theirs = Process::super_node(&mut script.rng).generator;
                let rng = &mut script.rng;
                let opening = key_exchange::exchange(generator, &mut theirs, rng, padding);
                [opening, encrypted(rng, 4)].concat()
            }
            _ => opening.speak(&mut script.rng, generator).0,
        };
        let to = SocketAddrV4::new(*script.peer().ip(), proxy.port());
        let connection = Script::outgoing(&mut host, to, &[]);
        script.connect(0, connection, &proxy.through(target, turns));
        prop_assert!(trial::finds(&script.end(), &connection.flow));
    }
}
