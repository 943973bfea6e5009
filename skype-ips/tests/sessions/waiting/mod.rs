//! Sessions that carry evidence which nothing looks at yet. A test that passes moves to a file of
//! its own beside `found`.

mod order;
mod proxies;
