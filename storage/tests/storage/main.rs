//! Storage as the node uses it: real files, a real database, and everything that can come between them.

mod accounts;
mod faults;
// What is marked so may unwrap, like the tests themselves.
#[cfg(test)]
mod history;
#[cfg(test)]
mod identity;
mod outbox;
mod recovery;
mod rows;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tenancy;
#[cfg(test)]
mod traces;
