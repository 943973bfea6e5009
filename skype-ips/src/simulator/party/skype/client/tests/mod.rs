//! Clients in a world.
