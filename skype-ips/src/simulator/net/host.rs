//! What a program sees of its host.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::program::{Between, Connection, Doing, Ground, Host, Instant, Program};
use super::world::World;

/// A host in the hands of one of its programs.
pub(super) struct View<'a, P: Program + ?Sized> {
    pub(super) world: &'a mut World<P>,
    pub(super) host: usize,
    pub(super) program: usize,
}

impl<P: Program + ?Sized> Host for View<'_, P> {
    fn now(&self) -> Instant {
        self.world.now()
    }

    fn address(&self) -> Ipv4Addr {
        self.world.hosts[self.host].address
    }

    fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.world.hosts[self.host].rng
    }

    fn bind(&mut self, port: u16, ground: Ground) -> Option<u16> {
        self.world.hosts[self.host].bind(port, self.program, ground)
    }

    fn send(&mut self, port: u16, to: SocketAddrV4, payload: &[u8], ground: Option<Ground>) {
        self.world
            .send_datagram(self.host, port, to, payload, ground);
    }

    fn listen(&mut self, port: u16) -> bool {
        self.world.hosts[self.host].listen(port, self.program)
    }

    fn connect(&mut self, to: SocketAddrV4, ground: Ground) -> Connection {
        let id = self.world.new_connection();
        let host = &mut self.world.hosts[self.host];
        host.stack.connect(id, self.program, to, ground);
        self.world.flush(self.host);
        id
    }

    fn write(&mut self, connection: Connection, bytes: &[u8]) {
        self.world.hosts[self.host].stack.write(connection, bytes);
        self.world.flush(self.host);
    }

    fn waiting(&self, connection: Connection) -> usize {
        self.world.hosts[self.host].stack.waiting(connection)
    }

    fn close(&mut self, connection: Connection) {
        self.world.hosts[self.host].stack.close(connection);
        self.world.flush(self.host);
    }

    fn abort(&mut self, connection: Connection) {
        self.world.hosts[self.host].stack.abort(connection);
        self.world.flush(self.host);
    }

    fn timer(&mut self, after: Duration, token: u64) {
        self.world.set_timer(self.program, after, token);
    }

    fn note(&mut self, between: Between, doing: Doing) {
        self.world.note(self.host, between, doing);
    }
}
