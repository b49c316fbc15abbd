//! Storage as the node uses it: real files, a real database, and everything that can come between them. One suite, run
//! once on each engine.

#![allow(clippy::duplicate_mod, reason = "one suite, once for each engine")]

#[cfg(test)]
mod bus_server;

#[cfg(test)]
#[path = "."]
mod sqlite {
    const ENGINE: tandem_storage::Engine = tandem_storage::Engine::Sqlite;

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

    mod accounts;
    mod bus;
    mod cdrs;
    mod cluster;
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
