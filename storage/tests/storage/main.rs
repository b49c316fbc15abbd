//! Storage as the node uses it: real files, a real database, a real bus, and everything that can come between them. One
//! suite, run once on each bed.
//!
//! ```text
//!  sqlite    SQLite      bus in the process (what needs a JetStream gets one server)
//!  postgres  PostgreSQL  one nats-server
//!  cluster   PostgreSQL  three nats-servers, streams on all of them
//! ```
//! `outage` is about a database that is a server, and has no bus in it: once. `leader` is about a stream that has one.

#![allow(clippy::duplicate_mod, reason = "one suite, once for each bed")]

#[cfg(test)]
mod bus_server;

#[cfg(test)]
#[path = "."]
mod sqlite {
    const ENGINE: tandem_storage::Engine = tandem_storage::Engine::Sqlite;
    /// Servers of the bus; none: it is in the process.
    const SERVERS: Option<usize> = None;

    mod accounts;
    mod bus;
    mod cdrs;
    mod faults;
    mod history;
    mod identity;
    mod outbox;
    mod outside;
    mod poison;
    mod recovery;
    mod retention;
    mod rows;
    mod support;
    mod tenancy;
    mod traces;
    mod webhooks;
}

#[cfg(test)]
#[path = "."]
mod postgres {
    const ENGINE: tandem_storage::Engine = tandem_storage::Engine::Postgres;
    /// Servers of the bus; none: it is in the process.
    const SERVERS: Option<usize> = Some(1);

    mod accounts;
    mod bus;
    mod cdrs;
    mod faults;
    mod history;
    mod identity;
    mod outage;
    mod outbox;
    mod outside;
    mod poison;
    mod recovery;
    mod retention;
    mod rows;
    mod support;
    mod tenancy;
    mod traces;
    mod webhooks;
}

#[cfg(test)]
#[path = "."]
mod cluster {
    const ENGINE: tandem_storage::Engine = tandem_storage::Engine::Postgres;
    /// Servers of the bus; none: it is in the process.
    const SERVERS: Option<usize> = Some(3);

    mod accounts;
    mod bus;
    mod cdrs;
    mod faults;
    mod history;
    mod identity;
    mod leader;
    mod outbox;
    mod outside;
    mod poison;
    mod recovery;
    mod retention;
    mod rows;
    mod support;
    mod tenancy;
    mod traces;
    mod webhooks;
}
