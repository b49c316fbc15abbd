//! Storage as the node uses it: real files, a real database, and everything that can come between them.

mod accounts;
mod faults;
mod recovery;
mod rows;
// What is marked so may unwrap, like the tests themselves.
#[cfg(test)]
mod support;
