//! What goes through a gateway beside Skype, as the simulator plays it: the engine finds no Skype
//! in it, and another dissector reads it as meant.

mod never;
mod tshark;
mod world;
